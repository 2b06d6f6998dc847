-- Effects: asked for by rules, claimed by effect workers, settled when somebody has answered.

-- Takes: calls to make, and when their events were accepted. Written in the statement of
-- ledger_write, which set the tenants. Safe to repeat: a key that is there already stays as it is.
create or replace function effects_write(p_rows jsonb) returns void language sql as $$
  insert into effects (key, tenant_id, lane, kind, data, event_key, asked_at)
  select r.key, r.tenant_id, r.lane, r.kind, r.data, r.event_key,
         coalesce(to_timestamp(r.asked_ms / 1000.0), now())
  from jsonb_to_recordset(p_rows) r (key text, tenant_id int, lane text, kind text, data jsonb,
    event_key uuid, asked_ms bigint)
  on conflict (key, tenant_id) do nothing
$$;

-- Takes: a lane, how many, a mark of this claim, for how long it holds, in ms; tenants that have
-- enough calls under way, and tenants whose calls fail, of whom only what was never tried is given.
-- Gives: calls that are due, with what the try before said of itself: null too where it said
-- nothing, for while a call is under way nothing is known of it. A worker that dies leaves them due
-- again when its time is up.
-- Locks: the rows given, until the end of the statement; other workers pass them by.
drop function if exists system_effects_claim(text, int, uuid, int);
create or replace function system_effects_claim(
  p_lane text, p_limit int, p_claim uuid, p_hold_ms int, p_full int[], p_resting int[]
) returns table (key text, tenant_id int, kind text, data jsonb, attempts int, asked_at timestamptz,
                 last_error text, memory jsonb)
language sql security definer set search_path = tallyrace, pg_temp as $$
  update effects e
    set claim = p_claim, attempts = e.attempts + 1, last_error = null,
        due_at = now() + make_interval(secs => p_hold_ms / 1000.0)
  from (select w.key, w.tenant_id, w.last_error from effects w
        where w.lane = p_lane and w.status = 'waiting' and w.due_at <= now()
          and not w.tenant_id = any(p_full)
          and (w.attempts = 0 or not w.tenant_id = any(p_resting))
        order by w.due_at limit p_limit for update skip locked) due
  where e.key = due.key and e.tenant_id = due.tenant_id
  returning e.key, e.tenant_id, e.kind, e.data, e.attempts, e.asked_at, due.last_error, e.memory
$$;

-- Takes: a call, the mark of its claim, what its next try has to know, laid over what is known.
-- Gives: whether the claim still held; where not, nothing was changed. Safe to repeat: yes.
create or replace function system_effect_remember(
  p_key text, p_tenant int, p_claim uuid, p_memory jsonb
) returns boolean language plpgsql
security definer set search_path = tallyrace, pg_temp as $$
begin
  update effects e set memory = coalesce(e.memory, '{}') || p_memory
  where e.key = p_key and e.tenant_id = p_tenant and e.claim = p_claim and e.status = 'waiting';
  return found;
end $$;

-- Takes: a call and the mark of its claim; its new status; when to try again, in ms, while it still
-- waits; what went wrong. Gives: whether the claim still held. Safe to repeat: yes.
create or replace function system_effect_settle(
  p_key text, p_tenant int, p_claim uuid, p_status text, p_delay_ms bigint, p_error text
) returns boolean language plpgsql
security definer set search_path = tallyrace, pg_temp as $$
begin
  update effects e
    set status = p_status, last_error = p_error, claim = null,
        settled_at = case when p_status = 'waiting' then null else now() end,
        due_at = now() + make_interval(secs => p_delay_ms / 1000.0)
  where e.key = p_key and e.tenant_id = p_tenant and e.claim = p_claim and e.status = 'waiting';
  return found;
end $$;

-- Gives: per lane, how many calls wait, and how old in seconds the oldest is of those that are
-- under way or due within a minute: the others are put off by intent.
create or replace function system_effects_waiting()
returns table (lane text, waiting bigint, oldest_s float8)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select e.lane, count(*),
         coalesce(extract(epoch from now() - min(e.asked_at)
           filter (where e.due_at < now() + interval '61 seconds')), 0)::float8
  from effects e where e.status = 'waiting' group by e.lane
$$;

-- Charges that the gateway took and did not decide, of payments that still wait for its word, or,
-- for a day, for a fee that its webhook did not tell (Stripe's never do): asked again, under the
-- same key, when `p_after_ms` have passed since the last time, and longer each time. What is held,
-- and was to be captured, waits for nobody's decision: it is asked for at once. Gives: how many.
-- Locks: the rows it changes. Safe to repeat: one that waits stays as it is.
create or replace function system_charges_reopen(p_after_ms int, p_limit int) returns int
language plpgsql security definer set search_path = tallyrace, pg_temp as $$
declare v_count int;
begin
  with undecided as (
    select p.id, p.tenant_id, p.body->>'attempt' as attempt, p.updated_at, p_after_ms as after_ms
    from payments p where p.status = 'processing'
    union all
    select p.id, p.tenant_id, p.body->>'attempt', p.updated_at, least(p_after_ms, 1000)
    from payments p
    where p.status = 'authorized' and p.body->>'capture' = 'automatic'
    union all
    select p.id, p.tenant_id, p.body->>'attempt', p.updated_at, p_after_ms from payments p
    where p.status in ('captured', 'partially_refunded', 'refunded', 'disputed')
      and p.body->>'fee' = '0' and p.body->'method'->>'type' <> 'card'
      and p.body->>'gateway' = 'stripe' and p.initiated_at > now() - interval '1 day'
  ), hanging as (
    select e.key, e.tenant_id
    from undecided u
    join effects e on e.tenant_id = u.tenant_id
      and e.key = 'pay_' || u.id::text || ':charge:' || u.attempt
    where u.updated_at < now() - make_interval(secs => u.after_ms / 1000.0)
      and e.status = 'done'
      -- As long again as it has taken so far. (Not by tries: those made while the gateway was away
      -- would put the next look off by an hour.)
      and e.settled_at < now() - least(e.settled_at - e.asked_at, interval '1 hour')
      and e.settled_at < now() - make_interval(secs => u.after_ms / 1000.0)
    limit p_limit for update of e skip locked
  )
  update effects e set status = 'waiting', settled_at = null, due_at = now()
    from hanging h where e.key = h.key and e.tenant_id = h.tenant_id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
