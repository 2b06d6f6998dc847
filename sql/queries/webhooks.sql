-- Webhooks from gateways: what their rule writes and reads, and what is shown of them.

-- Takes: what became of webhooks. Written in the statement of ledger_write, which set the tenants.
create or replace function webhook_events_write(p_rows jsonb) returns void language sql as $$
  insert into webhook_events (event_key, tenant_id, gateway, endpoint, gateway_event_id, type,
    result, payment_id, received_at)
  select r.event_key, r.tenant_id, r.gateway, r.endpoint, r.gateway_event_id, r.type, r.result,
         r.payment_id, to_timestamp(r.received_ms / 1000.0)
  from jsonb_to_recordset(p_rows) r (event_key uuid, tenant_id int, gateway text, endpoint text,
    gateway_event_id text, type text, result text, payment_id text, received_ms bigint)
$$;

-- Takes: tenants and `<gateway>/<reference>` side by side. Gives: in that order, which try of which
-- payment it is, and its currency; null where no payment has the reference. Read in the statement
-- of ledger_load, which set the tenants.
create or replace function payment_references_load(p_tenants int[], p_keys text[]) returns jsonb
language sql stable as $$
  select jsonb_agg(
    (select jsonb_build_object('payment_id', 'pay_' || p.id::text, 'attempt', p.body->'attempt',
       'currency', p.body->'currency')
     from payments p
     where p.reference = substr(k.key, strpos(k.key, '/') + 1)
       and p.body->>'gateway' = split_part(k.key, '/', 1) and p.tenant_id = k.tenant
     limit 1) order by k.i)
  from unnest(p_tenants, p_keys) with ordinality k (tenant, key, i)
$$;

-- Takes: tenant, endpoint and type or null, the last time and key seen, how many. Gives: newest
-- first.
create or replace function webhook_events_of(
  p_tenant int, p_endpoint text, p_type text, p_before timestamptz, p_before_key uuid, p_limit int
) returns table (event_key uuid, gateway text, endpoint text, gateway_event_id text, type text,
                 result text, payment_id text, received_at timestamptz)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select w.event_key, w.gateway, w.endpoint, w.gateway_event_id, w.type, w.result, w.payment_id,
           w.received_at
    from webhook_events w
    where w.tenant_id = p_tenant
      and (p_endpoint is null or w.endpoint = p_endpoint) and (p_type is null or w.type = p_type)
      and (p_before is null or (w.received_at, w.event_key) < (p_before, p_before_key))
    order by w.received_at desc, w.event_key desc limit p_limit;
end $$;

-- Takes: tenant, key of the event. Gives: the webhook with the bytes of its event, or no row.
create or replace function webhook_event_get(p_tenant int, p_key uuid)
returns table (event_key uuid, gateway text, endpoint text, gateway_event_id text, type text,
               result text, payment_id text, received_at timestamptz, body bytea)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select w.event_key, w.gateway, w.endpoint, w.gateway_event_id, w.type, w.result, w.payment_id,
           w.received_at, o.body
    from webhook_events w join outcomes o on o.event_key = w.event_key
    where w.event_key = p_key and w.tenant_id = p_tenant;
end $$;
