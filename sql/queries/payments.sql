-- Payments: what the rules read and write, and what people ask for.

-- Takes: tenants and ids side by side. Gives: a list of the payments in that order, null where
-- there is none. (Not jsonb[]: without a look at the types, the client has an array as its text.)
-- Read in the statement of ledger_load, which set the tenants.
drop function if exists payments_load(int[], text[]);
create function payments_load(p_tenants int[], p_keys text[]) returns jsonb
language sql stable as $$
  select jsonb_agg(p.body order by k.i)
  from unnest(p_tenants, p_keys) with ordinality k (tenant, key, i)
  left join payments p on p.id = substr(k.key, 5)::uuid and p.tenant_id = k.tenant
$$;

-- Takes: payments as they are now, whole. Written in the statement of ledger_write.
-- Locks: its rows; one stream decides a payment, so nobody else writes them.
create or replace function payments_write(p_rows jsonb) returns void language sql as $$
  insert into payments as p
    (id, tenant_id, status, customer_id, initiated_at, updated_at, body, reference)
  select substr(r.key, 5)::uuid, r.tenant_id, r.body->>'status', r.body->>'customer_id',
         (r.body->>'initiated_at')::timestamptz,
         to_timestamp((r.body->>'updated_ms')::bigint / 1000.0), r.body, r.body->>'reference'
  from jsonb_to_recordset(p_rows) r (tenant_id int, key text, body jsonb)
  on conflict (id) do update
    set status = excluded.status, updated_at = excluded.updated_at, body = excluded.body,
        reference = excluded.reference
$$;

-- Takes: tenant, id. Gives: the payment, or no row.
create or replace function payment_get(p_tenant int, p_id text)
returns table (id text, body jsonb, updated_at timestamptz) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select p_id, p.body, p.updated_at from payments p
    where p.id = substr(p_id, 5)::uuid and p.tenant_id = p_tenant;
end $$;

-- Takes: tenant, customer, the last time and id seen, how many. Gives: newest first.
create or replace function payments_of(
  p_tenant int, p_customer text, p_before timestamptz, p_before_id text, p_limit int
) returns table (id text, body jsonb, updated_at timestamptz) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select 'pay_' || p.id::text, p.body, p.updated_at from payments p
    where p.customer_id = p_customer and p.tenant_id = p_tenant
      and (p_before is null
           or (p.initiated_at, p.id) < (p_before, substr(p_before_id, 5)::uuid))
    order by p.initiated_at desc, p.id desc limit p_limit;
end $$;
