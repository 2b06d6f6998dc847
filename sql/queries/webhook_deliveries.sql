-- Deliveries of notices to endpoints: rows of `effects`, claimed endpoint by endpoint.

-- Takes: how many, a mark of this claim, for how long it holds, in ms; whether those endpoints are
-- asked for that fail at present, or those that do not; how many one endpoint may have under way;
-- tenants that have enough under way; how many endpoints have already, side by side. Gives:
-- deliveries that are due. An endpoint that has failed five times gets one at a time, and none
-- while it is held.
-- Locks: the rows given, until the end of the statement; other workers pass them by.
create or replace function system_deliveries_claim(
  p_limit int, p_claim uuid, p_hold_ms int, p_failing boolean, p_each int, p_full int[],
  p_busy uuid[], p_under_way int[]
) returns table (key text, tenant_id int, kind text, data jsonb, attempts int, asked_at timestamptz,
                 last_error text)
language sql security definer set search_path = tallyrace, pg_temp as $$
  -- From one endpoint that is owed something to the next, by the index: there may be many rows.
  with recursive owed as (
    (select e.data->>'endpoint' as endpoint from effects e
     where e.lane = 'webhooks' and e.status = 'waiting' order by e.data->>'endpoint' limit 1)
    union all
    select (select e.data->>'endpoint' from effects e
            where e.lane = 'webhooks' and e.status = 'waiting' and e.data->>'endpoint' > o.endpoint
            order by e.data->>'endpoint' limit 1)
    from owed o where o.endpoint is not null
  ), rooms as materialized (
    select o.endpoint,
           case when h.failures >= 5 and h.status = 'enabled' then 1 else p_each end
             - coalesce(b.under_way, 0) as room
    from owed o
    join webhook_endpoints h on h.id = o.endpoint::uuid
    left join unnest(p_busy, p_under_way) b (id, under_way) on b.id = h.id
    where (h.failures > 0) = p_failing and not h.tenant_id = any (p_full)
      and (h.held_until is null or h.held_until <= now())
  ), due as materialized (
    select d.key, d.tenant_id, d.last_error
    from rooms r
    cross join lateral (
      select w.key, w.tenant_id, w.last_error, w.due_at from effects w
      where w.lane = 'webhooks' and w.status = 'waiting' and w.data->>'endpoint' = r.endpoint
        and w.due_at <= now()
      order by w.due_at limit greatest(r.room, 0) for update skip locked) d
    order by d.due_at limit p_limit
  )
  update effects e
    set claim = p_claim, attempts = e.attempts + 1, last_error = null,
        due_at = now() + make_interval(secs => p_hold_ms / 1000.0)
  from due where e.key = due.key and e.tenant_id = due.tenant_id
  returning e.key, e.tenant_id, e.kind, e.data, e.attempts, e.asked_at, due.last_error
$$;

-- Takes: tenant, endpoint, notice. Gives: where to send what, and the sealed secrets; no row when
-- either is not there.
create or replace function webhook_message(p_tenant int, p_endpoint uuid, p_notice uuid)
returns table (url text, status text, key_id text, box text, type text, subject text,
               sequence bigint, occurred_at timestamptz, data jsonb)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select h.url, h.status, h.key_id, h.box, n.type, n.subject, n.sequence, n.occurred_at, n.data
    from webhook_endpoints h, notices n
    where h.id = p_endpoint and h.tenant_id = p_tenant and n.id = p_notice
      and n.tenant_id = p_tenant;
end $$;

-- Takes: an attempt and what it came to; no error: it was delivered. Gives: why the endpoint is
-- disabled from now on, else null: it answered 410, or nothing got through for `p_days`.
-- Locks: the endpoint's row where something changes in it.
create or replace function webhook_attempted(
  p_tenant int, p_endpoint uuid, p_notice uuid, p_status_code int, p_error text, p_duration_ms int,
  p_days int
) returns text language plpgsql as $$
declare
  v_since  timestamptz;
  v_reason text;
begin
  perform set_tenants(array[p_tenant]);
  insert into webhook_attempts (tenant_id, endpoint_id, notice_id, status_code, error, duration_ms)
    values (p_tenant, p_endpoint, p_notice, p_status_code, p_error, p_duration_ms);
  if p_error is null then
    update webhook_endpoints h set failures = 0, failing_since = null, held_until = null
      where h.id = p_endpoint and h.tenant_id = p_tenant and h.failures > 0;
    return null;
  end if;
  update webhook_endpoints h
    set failures = least(h.failures + 1, 1000000),
        failing_since = coalesce(h.failing_since, now()),
        held_until = case when h.failures >= 4
          then now() + make_interval(secs => least(5 * power(2, least(h.failures - 4, 7)), 600)) end
    where h.id = p_endpoint and h.tenant_id = p_tenant and h.status = 'enabled'
    returning h.failing_since into v_since;
  if not found then return null; end if;
  v_reason := case when p_error = 'gone' then 'gone'
    when v_since < now() - make_interval(days => p_days) then 'failing' end;
  if v_reason is null then return null; end if;
  update webhook_endpoints h
    set status = 'disabled', disabled_reason = v_reason, held_until = null, updated_at = now()
    where h.id = p_endpoint and h.tenant_id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, detail)
    values (p_tenant, 'effects', 'webhook_endpoint.disabled', 'whe_' || p_endpoint,
            jsonb_build_object('reason', v_reason, 'failing_since', v_since));
  return v_reason;
end $$;

-- Takes: tenant, endpoint, a notice or null for all, a status or null for all, the last time and
-- key seen, how many. Gives: deliveries, those asked for last first, with their last attempt.
create or replace function webhook_deliveries_list(
  p_tenant int, p_endpoint uuid, p_notice uuid, p_status text, p_before timestamptz,
  p_before_key text, p_limit int
) returns table (notice uuid, key text, type text, subject text, status text, attempts int,
                 last_status_code int, last_error text, asked_at timestamptz, due_at timestamptz)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select n.id, e.key, n.type, n.subject, e.status, e.attempts, a.status_code,
           -- What went wrong on our side is nothing for a tenant to read.
           case when e.last_error like 'endpoint\_%' then e.last_error else a.error end,
           e.asked_at, e.due_at
    from effects e
    join notices n on n.id = (e.data->>'notice')::uuid
    left join lateral (
      select t.status_code, t.error from webhook_attempts t
      where t.notice_id = n.id and t.endpoint_id = p_endpoint order by t.id desc limit 1) a on true
    where e.lane = 'webhooks' and e.data->>'endpoint' = p_endpoint::text and e.tenant_id = p_tenant
      and (p_notice is null or e.key = 'ntc_' || p_notice || ':whe_' || p_endpoint)
      and (p_status is null or e.status = p_status)
      and (p_before is null or (e.asked_at, e.key) < (p_before, p_before_key))
    order by e.asked_at desc, e.key desc limit p_limit;
end $$;

-- Takes: tenant, endpoint, notice, how many. Gives: its attempts, newest first.
create or replace function webhook_attempts_list(
  p_tenant int, p_endpoint uuid, p_notice uuid, p_limit int
) returns table (at timestamptz, status_code int, error text, duration_ms int)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select t.at, t.status_code, t.error, t.duration_ms from webhook_attempts t
    where t.notice_id = p_notice and t.endpoint_id = p_endpoint and t.tenant_id = p_tenant
    order by t.id desc limit p_limit;
end $$;

-- Takes: tenant, endpoint, one notice, or null for all that were given up since a time, who does
-- it. Gives: how many are sent again, from their first attempt on; one that is under way is left to
-- itself and counts. Locks: the rows it changes. Safe to repeat: yes.
create or replace function webhook_redeliver(
  p_tenant int, p_endpoint uuid, p_notice uuid, p_since timestamptz, p_actor text
) returns int language plpgsql as $$
declare v_count int;
begin
  perform set_tenants(array[p_tenant]);
  with chosen as (
    select e.key, e.status = 'waiting' and e.claim is not null and e.due_at > now() as under_way
    from effects e
    where e.lane = 'webhooks' and e.data->>'endpoint' = p_endpoint::text and e.tenant_id = p_tenant
      and (e.key = 'ntc_' || p_notice || ':whe_' || p_endpoint
           or (p_notice is null and e.status = 'given_up' and e.settled_at >= p_since))
    for update
  ), changed as (
    update effects e
      set status = 'waiting', settled_at = null, claim = null, attempts = 0,
          asked_at = date_trunc('milliseconds', now()), due_at = now(), last_error = null
      from chosen c where e.key = c.key and e.tenant_id = p_tenant and not c.under_way
  ), audited as (
    insert into audit_log (tenant_id, actor, action, subject, detail)
    select p_tenant, p_actor, 'webhook.redelivered', c.key, '{}' from chosen c
  )
  select count(*) into v_count from chosen;
  -- What was held against the endpoint is forgotten, so that it is tried at once.
  if v_count > 0 then
    update webhook_endpoints h set held_until = null
      where h.id = p_endpoint and h.tenant_id = p_tenant and h.held_until is not null;
  end if;
  return v_count;
end $$;
