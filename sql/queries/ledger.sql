-- The ledger's write and load. Every call is one round trip and its own transaction.

-- Writes a decided batch, whole or not at all. The only way for the application to change outcomes,
-- entries and balances: it runs as their owner, and checks the tenants itself.
-- Takes: the tenants in the batch; per stream its progress (s_); per account, in key order, its
--   deltas (a_: sum, lowest running sum at an event's end, number of entries); per event its
--   outcome (o_: no reason means posted; the body is cut out of o_bodies); per leg (e_), in the
--   order of its account's sequence, the account and event by index from 1, the amount, the
--   account's running sum and running count within the batch.
-- Gives: 'balances;sequences' after the batch, comma-separated, in the order of the accounts.
-- Raises: TR001 the stream has a newer owner, or its position is not the expected one; 23505 on
--   outcomes: an event id is already there; TR003 a floor would be broken; 42501 a tenant that was
--   not named.
-- Locks: the streams' rows by name, then balances in key order (no deadlock between workers).
-- Safe to repeat: yes, the second time raises TR001 and leaves nothing behind.
drop function if exists ledger_write;
create function ledger_write(
  p_tenants int[],
  s_stream text[], s_epoch bigint[], s_from bigint[], s_to bigint[], s_posted bigint[],
  s_refused bigint[], s_dead bigint[], s_duplicate bigint[], s_deferred bigint[],
  s_renumbered bigint[], s_lost bigint[],
  a_key uuid[], a_tenant int[], a_account text[], a_unit text[], a_floor bigint[],
  a_delta bigint[], a_low bigint[], a_count bigint[],
  o_key uuid[], o_tenant int[], o_id text[], o_type text[], o_fingerprint bigint[],
  o_reason text[], o_stream text[], o_offset bigint[], o_accepted_ms bigint[],
  o_bodies bytea, o_body_start int[], o_body_length int[],
  e_account int[], e_event int[], e_amount bigint[], e_running bigint[], e_count bigint[]
) returns text language plpgsql security definer set search_path = tallyrace, pg_temp as $$
declare
  v_rows     bigint;
  -- Time that verification has shut takes nothing any more, whatever the clock says.
  v_posted   timestamptz := greatest(now(), (select shut_until from verified_point));
  v_balance  bigint[];
  v_sequence bigint[];
begin
  perform set_tenants(p_tenants);
  perform from unnest(o_tenant || a_tenant) t (id) where t.id <> all (p_tenants);
  if found then
    raise exception 'the batch has a tenant that was not named' using errcode = '42501';
  end if;

  -- In one order, whatever plan the update takes: two writes may share several streams.
  perform from streams s where s.stream = any (s_stream) order by s.stream for update;
  update streams s set
    settled = f.upto, posted = s.posted + f.posted, refused = s.refused + f.refused,
    dead = s.dead + f.dead, duplicate = s.duplicate + f.duplicate,
    deferred = s.deferred + f.deferred, renumbered = s.renumbered + f.renumbered,
    lost = s.lost + f.lost
  from unnest(s_stream, s_epoch, s_from, s_to, s_posted, s_refused, s_dead, s_duplicate,
              s_deferred, s_renumbered, s_lost)
    f (stream, epoch, since, upto, posted, refused, dead, duplicate, deferred, renumbered, lost)
  where s.stream = f.stream and s.epoch = f.epoch and s.settled = f.since;
  get diagnostics v_rows = row_count;
  if v_rows <> cardinality(s_stream) then
    raise exception 'a stream has a newer owner or another position' using errcode = 'TR001';
  end if;

  -- unnest in the select list, since in the from clause each array is first copied row by row.
  insert into outcomes (event_key, stream_offset, fingerprint, accepted_at, posted_at, tenant_id,
                        verdict, event_id, type, stream, reason, body)
  select o.key, o.stream_offset, o.fingerprint, to_timestamp(o.accepted_ms / 1e3::float8), v_posted,
         o.tenant, case when o.reason = '' then 1 else 2 end, o.id, o.type, o.stream,
         nullif(o.reason, ''), substring(o_bodies from o.body_start for o.body_length)
  from (select unnest(o_key) as key, unnest(o_offset) as stream_offset,
               unnest(o_fingerprint) as fingerprint, unnest(o_accepted_ms) as accepted_ms,
               unnest(o_tenant) as tenant, unnest(o_id) as id, unnest(o_type) as type,
               unnest(o_stream) as stream, unnest(o_reason) as reason,
               unnest(o_body_start) as body_start, unnest(o_body_length) as body_length) o;

  if cardinality(a_key) = 0 then return ';'; end if;

  with posted as (
    insert into balances as b (account_key, balance, sequence, floor, tenant_id, account, unit)
    select unnest(a_key), unnest(a_delta), unnest(a_count), unnest(a_floor), unnest(a_tenant),
           unnest(a_account), unnest(a_unit)
    on conflict (account_key) do update
      set balance = b.balance + excluded.balance, sequence = b.sequence + excluded.sequence
    returning b.account_key, b.balance, b.sequence
  )
  select array_agg(p.balance order by p.account_key), array_agg(p.sequence order by p.account_key)
    into v_balance, v_sequence from posted p;

  perform from unnest(v_balance, a_floor, a_delta, a_low) c (balance, floor, delta, low)
    where c.balance - c.delta + c.low < c.floor;
  if found then
    raise exception 'a balance would fall below its floor' using errcode = 'TR003';
  end if;

  -- Ordered as the index is: neighbours go to one page of it.
  insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key,
                       tenant_id)
  select a.key, a.sequence - a.count + e.count, v_posted, e.amount, a.balance - a.delta + e.running,
         o_key[e.event], a.tenant
  from unnest(a_key, v_sequence, a_count, v_balance, a_delta, a_tenant) with ordinality
      a (key, sequence, count, balance, delta, tenant, index)
    join (select unnest(e_account) as account, unnest(e_event) as event, unnest(e_amount) as amount,
                 unnest(e_running) as running, unnest(e_count) as count) e on e.account = a.index
  order by e.account, e.count;

  return array_to_string(v_balance, ',') || ';' || array_to_string(v_sequence, ',');
end $$;

-- Loads what a batch's decisions look at, in one snapshot (hence stable).
-- Takes: tenants; event keys suspected of being repeats; keys of events at offsets that are
--   settled already; account keys; document kinds with their tenants; streams.
-- Gives: outcomes found as JSON; which of the settled keys are kept elsewhere (dead, deferred, in
--   conflict); balances by account key; the change number of each (tenant, kind), 0 where nothing
--   was ever put; where each stream is settled to, which says whose writes the balances include.
drop function if exists ledger_load;
create function ledger_load(
  p_tenants int[], p_events uuid[], p_settled uuid[], p_accounts uuid[],
  p_document_tenants int[], p_kinds text[], p_streams text[],
  out outcomes jsonb, out elsewhere jsonb, out balances jsonb, out changes text, out positions jsonb
) language plpgsql stable as $$
begin
  perform set_tenants(p_tenants);
  if cardinality(p_events) > 0 then
    select jsonb_agg(jsonb_build_object('key', replace(o.event_key::text, '-', ''), 'type', o.type,
             'fingerprint', o.fingerprint::text, 'stream', o.stream, 'offset', o.stream_offset,
             'body', encode(o.body, 'base64')))
      into outcomes from outcomes o where o.event_key = any (p_events);
  end if;
  if cardinality(p_settled) > 0 then
    select jsonb_agg(replace(k.key::text, '-', '')) into elsewhere from unnest(p_settled) k (key)
      where exists (select from dead_letters d where d.event_key = k.key)
         or exists (select from deferred d where d.event_key = k.key)
         or exists (select from conflicts c where c.event_key = k.key);
  end if;
  if cardinality(p_accounts) > 0 then
    select jsonb_object_agg(replace(b.account_key::text, '-', ''), b.balance)
      into balances from balances b where b.account_key = any (p_accounts);
  end if;
  select string_agg(coalesce(h.change, 0)::text, ',' order by k.i) into changes
    from unnest(p_document_tenants, p_kinds) with ordinality k (tenant, kind, i)
    left join document_heads h on h.tenant_id = k.tenant and h.kind = k.kind;
  select jsonb_object_agg(s.stream, s.settled) into positions
    from streams s where s.stream = any (p_streams);
end $$;

-- Takes: a JSON array of rows. Written in the statement of ledger_write, which set the tenants.
create or replace function conflicts_write(p_rows jsonb) returns void language sql as $$
  insert into conflicts (tenant_id, event_key, event_id, type, stream, stream_offset, fields, body)
  select r.tenant_id, r.event_key, r.event_id, r.type, r.stream, r.stream_offset,
         array(select jsonb_array_elements_text(r.fields)), decode(r.body, 'base64')
  from jsonb_to_recordset(p_rows) r (tenant_id int, event_key uuid, event_id text, type text,
    stream text, stream_offset bigint, fields jsonb, body text)
$$;

-- Takes: events that no retry can settle, with what is wrong with them.
create or replace function dead_letters_write(p_rows jsonb) returns void language sql as $$
  insert into dead_letters (tenant_id, event_key, event_id, type, stream, stream_offset, events,
                            reason, detail, attempts, accepted_at, body)
  select r.tenant_id, r.event_key, r.event_id, r.type, r.stream, r.stream_offset, r.events,
         r.reason, r.detail, r.attempts, to_timestamp(r.accepted_ms / 1000.0),
         decode(r.body, 'base64')
  from jsonb_to_recordset(p_rows) r (tenant_id int, event_key uuid, event_id text, type text,
    stream text, stream_offset bigint, events int, reason text, detail text, attempts int,
    accepted_ms bigint, body text)
$$;

-- Takes: rows to defer, again or for the first time.
create or replace function deferred_write(p_rows jsonb) returns void language sql as $$
  insert into deferred as d (event_key, tenant_id, event_id, type, stream, stream_offset, reason,
                             attempts, retry_at, accepted_at, body)
  select r.event_key, r.tenant_id, r.event_id, r.type, r.stream, r.stream_offset, r.reason,
         r.attempts, now() + make_interval(secs => r.delay_ms / 1000.0),
         to_timestamp(r.accepted_ms / 1000.0), decode(r.body, 'base64')
  from jsonb_to_recordset(p_rows) r (event_key uuid, tenant_id int, event_id text, type text,
    stream text, stream_offset bigint, reason text, attempts int, delay_ms double precision,
    accepted_ms bigint, body text)
  on conflict (stream, stream_offset, event_key) do update
    set attempts = excluded.attempts, retry_at = excluded.retry_at, reason = excluded.reason
$$;

-- Takes: places of deferred events that this batch settled.
create or replace function deferred_settled_write(p_rows jsonb) returns void language sql as $$
  delete from deferred d
  using jsonb_to_recordset(p_rows) r (stream text, stream_offset bigint, event_key uuid)
  where d.stream = r.stream and d.stream_offset = r.stream_offset and d.event_key = r.event_key
$$;

-- Takes: runs of offsets that this batch settled without a row of their own, or met again.
create or replace function offset_runs_write(p_rows jsonb) returns void language sql as $$
  insert into offset_runs (stream, kind, first_offset, last_offset)
  select r.stream, r.kind, r.first, r.last
  from jsonb_to_recordset(p_rows) r (stream text, kind text, first bigint, last bigint)
$$;

-- Takes: follow-up events of the batch; the relay takes them to their streams.
create or replace function outbox_write(p_rows jsonb) returns void language sql as $$
  insert into outbox (tenant_id, event_id, type, accepted_at, traceparent, data)
  select r.tenant_id, r.event_id, r.type, to_timestamp(r.accepted_ms / 1000.0), r.traceparent,
         r.data
  from jsonb_to_recordset(p_rows) r (tenant_id int, event_id text, type text, accepted_ms bigint,
    traceparent text, data jsonb)
$$;
