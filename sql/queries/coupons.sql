-- Coupons: rows written with the ledger, and what the counters in Redis are rebuilt from.

-- Takes: rows of redemption events in the order of their streams, so that the last one of a
-- redemption decides. Written in the statement of ledger_write, which set the tenants.
create or replace function redemptions_write(p_rows jsonb) returns void
language plpgsql as $$
begin
  insert into redemptions (id, code, tenant_id, stack_index, status, customer_id, order_id,
                           currency, discount, order_total, terms_version, reserved_at, expires_at)
  select substr(r.id, 5)::uuid, r.code, r.tenant_id, r.position, 'reserved', r.customer_id,
         r.order_id, r.currency, r.discount, r.order_total, r.terms_version, r.at, r.expires_at
  from jsonb_to_recordset(p_rows) r (id text, code text, tenant_id int, position smallint,
    status text, customer_id text, order_id text, currency text, discount bigint,
    order_total bigint, terms_version int, at timestamptz, expires_at timestamptz)
  where r.status = 'reserved';

  update redemptions t
    set status = s.status, settled_at = s.at, released_for = s.reason
  from (
    select distinct on (r.id, r.code) r.id, r.code, r.status, r.at, r.reason
    from rows from (jsonb_to_recordset(p_rows) as (id text, code text, status text, at timestamptz,
      reason text)) with ordinality r (id, code, status, at, reason, i)
    where r.status <> 'reserved'
    order by r.id, r.code, r.i desc
  ) s
  where t.id = substr(s.id, 5)::uuid and t.code = s.code;
end $$;

-- Takes: counts of checks; several processes count the same minute. Locks: its rows in key order.
create or replace function coupon_checks_write(p_rows jsonb) returns void language sql as $$
  insert into coupon_checks as c (code, minute, tenant_id, result, checks)
  select r.code, r.minute, r.tenant_id, r.result, sum(r.count)
  from jsonb_to_recordset(p_rows) r (code text, minute timestamptz, tenant_id int, result text,
    count bigint)
  group by 1, 2, 3, 4 order by 1, 2, 3, 4
  on conflict (code, minute, tenant_id, result) do update set checks = c.checks + excluded.checks
$$;

-- Whether any redemption was ever recorded, of any tenant. A Redis that was empty when there was
-- none can take a code it does not know for unused.
create or replace function system_redemptions_exist() returns boolean
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select exists (select from redemptions)
$$;

-- Codes with reservations that nobody has settled, of all tenants, in pages.
-- Takes: the last tenant and code seen, how many. Gives: the next ones.
create or replace function system_reserved_codes(p_tenant int, p_code text, p_limit int)
returns table (tenant_id int, code text)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select distinct r.tenant_id, r.code from redemptions r
  where r.status = 'reserved' and (r.tenant_id, r.code) > (p_tenant, p_code)
  order by 1, 2 limit p_limit
$$;

-- Takes: tenants and codes side by side. Gives: what is used of each, zeros where nothing is.
drop function if exists coupon_usage(int[], text[]);
create function coupon_usage(p_tenants int[], p_codes text[])
returns table (reserved bigint, redeemed bigint, budget_used bigint) language plpgsql as $$
begin
  perform set_tenants(p_tenants);
  return query
    select u.reserved, u.redeemed, u.budget_used
    from unnest(p_tenants, p_codes) with ordinality k (tenant, code, i)
    cross join lateral (
      select count(*) filter (where r.status = 'reserved') as reserved,
             count(*) filter (where r.status = 'committed') as redeemed,
             coalesce(sum(r.discount), 0)::bigint as budget_used
      from redemptions r
      where r.code = k.code and r.tenant_id = k.tenant and r.status <> 'released'
    ) u
    order by k.i;
end $$;

-- Takes: tenant, code, customer. Gives: how many uses the customer holds or has redeemed.
create or replace function coupon_customer_uses(p_tenant int, p_code text, p_customer text)
returns bigint language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return (select count(*) from redemptions r
    where r.code = p_code and r.customer_id = p_customer and r.tenant_id = p_tenant
      and r.status <> 'released');
end $$;

-- Redemptions of a code that its orders may still come back for: those reserved, and those
-- committed since a time. Whole stacks, so that each can be put back in Redis.
-- `offset 0` keeps the planner to the index by code: with an order and a limit at hand it would
-- walk the primary key through the redemptions of every code.
-- Takes: tenant, code, since, the last id seen, how many. Gives: rows of redemption_get.
drop function if exists coupon_open_redemptions(int, text, timestamptz, uuid, int);
create function coupon_open_redemptions(
  p_tenant int, p_code text, p_since timestamptz, p_after uuid, p_limit int
) returns setof redemptions language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select s.* from (
      select c.id from (
        select r.id from redemptions r
        where r.code = p_code and r.tenant_id = p_tenant and r.id > p_after
          and (r.status = 'reserved' or (r.status = 'committed' and r.settled_at >= p_since))
        offset 0
      ) c order by c.id limit p_limit
    ) o join redemptions s on s.id = o.id
    order by s.id, s.stack_index;
end $$;

-- Takes: tenant, id. Gives: one row for each code, in the order of the stack.
drop function if exists redemption_get(int, uuid);
create function redemption_get(p_tenant int, p_id uuid)
returns setof redemptions language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select r.* from redemptions r
    where r.id = p_id and r.tenant_id = p_tenant order by r.stack_index;
end $$;

-- Takes: tenant, codes. Gives: those that exist, with their versions.
create or replace function coupon_versions(p_tenant int, p_codes text[])
returns table (code text, version int) language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select d.key, d.version from documents d
    where d.tenant_id = p_tenant and d.kind = 'coupons' and d.key = any (p_codes);
end $$;

-- For verification. Takes: tenant, code, customers. Gives: the uses each holds or has redeemed.
drop function if exists system_coupon_usage(int, text, int);
create or replace function coupon_customers_uses(p_tenant int, p_code text, p_customers text[])
returns table (customer text, uses bigint) language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select k.customer, (select count(*) from redemptions r
      where r.code = p_code and r.customer_id = k.customer and r.tenant_id = p_tenant
        and r.status <> 'released')
    from unnest(p_customers) k (customer);
end $$;

-- For verification, of all tenants. Takes: ids. Gives: what the rows say of them.
create or replace function system_redemptions_of(p_ids uuid[])
returns table (id uuid, code text, status text)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select r.id, r.code, r.status from redemptions r where r.id = any (p_ids)
$$;

-- How far the streams of redemptions are settled. Gives: stream, offset.
create or replace function redemption_positions() returns table (stream text, settled bigint)
language sql stable as $$
  select s.stream, s.settled from streams s where s.stream like 'coupons.%'
$$;
