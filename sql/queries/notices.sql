-- Notices: written by rules, sent to the endpoints of their tenant.

-- Takes: what tenants are to be told. Written in the statement of ledger_write, which set the
-- tenants. A notice that no endpoint wants is not kept; each that does gets a delivery, under a key
-- made of both. Safe to repeat: the id is made of the event and the notice's key in it, and what is
-- there stays as it is. The sequence of a subject rises as long as one stream writes of it.
create or replace function notices_write(p_rows jsonb) returns void language plpgsql as $$
begin
  -- Most batches are of tenants that nobody listens to: they pay for no more than p_rows itself.
  if not exists (select from webhook_endpoints h where h.status = 'enabled') then return; end if;
  with given as (
    select md5(r.event_key::text || ':' || r.key)::uuid as id, r.*
    from rows from (jsonb_to_recordset(p_rows) as (key text, tenant_id int, event_key uuid,
      type text, subject text, data jsonb, occurred_ms bigint))
      with ordinality r (key, tenant_id, event_key, type, subject, data, occurred_ms, i)
  ), wanted as (
    select g.id, g.tenant_id, g.event_key, h.id as endpoint
    from given g
    join webhook_endpoints h on h.tenant_id = g.tenant_id and h.status = 'enabled'
      and h.event_types ?| array[g.type, '*']
  ), kept as (
    insert into notices (id, tenant_id, type, subject, sequence, occurred_at, data)
    select g.id, g.tenant_id, g.type, g.subject,
           coalesce((select max(n.sequence) from notices n
                     where n.subject = g.subject and n.tenant_id = g.tenant_id), 0)
             + row_number() over (partition by g.tenant_id, g.subject order by g.i),
           to_timestamp(g.occurred_ms / 1000.0), g.data
    from given g where g.id in (select w.id from wanted w)
    on conflict (id) do nothing
  )
  insert into effects (key, tenant_id, lane, kind, data, event_key, asked_at)
  select 'ntc_' || w.id || ':whe_' || w.endpoint, w.tenant_id, 'webhooks', 'delivery',
         jsonb_build_object('notice', w.id, 'endpoint', w.endpoint), w.event_key,
         -- As exact as a cursor of a list is.
         date_trunc('milliseconds', now())
  from wanted w
  on conflict (key, tenant_id) do nothing;
end $$;

-- Takes: how many days notices are kept after they were written, how many to take at most. Gives:
-- how many went, with their attempts and settled deliveries; one that still waits is kept.
-- Locks: the rows that go. Safe to repeat: yes.
create or replace function system_notices_prune(p_days int, p_limit int) returns int
language plpgsql security definer set search_path = tallyrace, pg_temp as $$
declare v_gone uuid[];
begin
  select coalesce(array_agg(o.id), '{}') into v_gone from (
    select n.id from notices n
    where n.written_at < now() - make_interval(days => p_days)
      and not exists (
        select from webhook_endpoints h
        join effects e on e.key = 'ntc_' || n.id || ':whe_' || h.id and e.tenant_id = n.tenant_id
        where h.tenant_id = n.tenant_id and e.status = 'waiting')
    limit p_limit) o;
  delete from effects e using notices n, webhook_endpoints h
    where n.id = any (v_gone) and h.tenant_id = n.tenant_id
      and e.key = 'ntc_' || n.id || ':whe_' || h.id and e.tenant_id = n.tenant_id;
  delete from webhook_attempts a where a.notice_id = any (v_gone);
  delete from notices n where n.id = any (v_gone);
  return cardinality(v_gone);
end $$;
