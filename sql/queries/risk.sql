-- Risk: decisions with their reasons, what customers have paid, lists, the queue of reviews.

-- Takes: decisions. Written in the statement of ledger_write, with the payments they are about.
-- Safe to repeat: the first stands.
create or replace function risk_decisions_write(p_rows jsonb) returns void language sql as $$
  insert into risk_decisions (id, tenant_id, decided_at, score, decision, version, shadow,
                              shadow_version, body)
  select substr(r.payment_id, 5)::uuid, r.tenant_id, r.decided_at, r.score, r.decision, r.version,
         r.body->'shadow'->>'decision', (r.body->'shadow'->>'version')::int, r.body
  from jsonb_to_recordset(p_rows) r (payment_id text, tenant_id int, decided_at timestamptz,
    score smallint, decision text, version int, body jsonb)
  on conflict (id) do nothing
$$;

-- Takes: tenant, payment. Gives: its decision, and what people decided afterwards; or no row.
create or replace function risk_decision_get(p_tenant int, p_payment text)
returns table (decided_at timestamptz, body jsonb, reviews jsonb) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select d.decided_at, d.body, (
      select coalesce(jsonb_agg(jsonb_build_object('actor', a.actor, 'at', a.at,
               'to', a.detail->>'to', 'reason', a.detail->>'reason') order by a.at, a.id), '[]')
      from audit_log a
      where a.subject = p_payment and a.tenant_id = p_tenant and a.action = 'payment.reviewed')
    from risk_decisions d
    where d.id = substr(p_payment, 5)::uuid and d.tenant_id = p_tenant;
end $$;

-- Takes: tenant, the last time and id seen, how many. Gives: payments that wait for a verdict, the
-- longest first, each with its decision (null where risk was not asked).
create or replace function payments_to_review(
  p_tenant int, p_after timestamptz, p_after_id text, p_limit int
) returns table (id text, body jsonb, updated_at timestamptz, risk jsonb)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select 'pay_' || p.id::text, p.body, p.updated_at, d.body
    from payments p left join risk_decisions d on d.id = p.id and d.tenant_id = p.tenant_id
    where p.tenant_id = p_tenant and p.status = 'requires_review'
      and (p_after is null or (p.initiated_at, p.id) > (p_after, substr(p_after_id, 5)::uuid))
    order by p.initiated_at, p.id limit p_limit;
end $$;

-- Takes: tenant, customers, how many payments of each to look at, how many to give. Gives: for each
-- customer those that were paid and stayed so, newest first. A customer whose payments all fail
-- costs no more than one whose payments do not.
create or replace function customer_payments_paid(
  p_tenant int, p_customers text[], p_look_at int, p_limit int
) returns table (customer text, id uuid, initiated_at timestamptz, currency text, amount bigint,
                 device text, token text)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select k.customer, paid.id, paid.initiated_at, paid.body->>'currency',
           (paid.body->>'amount')::bigint, paid.body->'risk'->>'device',
           paid.body->'risk'->>'token'
    from unnest(p_customers) k (customer)
    cross join lateral (
      select newest.* from (
        select p.id, p.initiated_at, p.status, p.body from payments p
        where p.customer_id = k.customer and p.tenant_id = p_tenant
        order by p.initiated_at desc, p.id desc limit p_look_at
      ) newest
      where newest.status in ('captured', 'partially_refunded', 'refunded')
      order by newest.initiated_at desc, newest.id desc limit p_limit
    ) paid;
end $$;

-- Takes: tenant. Gives: its salt, made at the first call: 244 random bits. Safe to repeat: yes.
create or replace function risk_salt(p_tenant int) returns text language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  insert into risk_salts (tenant_id, salt)
    values (p_tenant, gen_random_uuid()::text || gen_random_uuid()::text)
    on conflict (tenant_id) do nothing;
  return (select s.salt from risk_salts s where s.tenant_id = p_tenant);
end $$;

-- Takes: tenant, the last key of the page before ('' for the first), how many. Gives: entries of
-- lists that hold now, in key order.
create or replace function risk_list_page(p_tenant int, p_after text, p_limit int)
returns table (key text, body jsonb) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select d.key, d.body from documents d
    where d.tenant_id = p_tenant and d.kind = 'risk_lists' and d.key > p_after
      and not (d.body->>'removed')::boolean
      and coalesce((d.body->>'expires_at')::timestamptz > now(), true)
    order by d.key limit p_limit;
end $$;

-- Takes: tenant. Gives: how many entries of lists hold now.
create or replace function risk_list_size(p_tenant int) returns int language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return (select count(*)::int from documents d
    where d.tenant_id = p_tenant and d.kind = 'risk_lists'
      and not (d.body->>'removed')::boolean
      and coalesce((d.body->>'expires_at')::timestamptz > now(), true));
end $$;

-- Takes: tenant, a span of time. Gives: how many payments the two rule sets decided how, and what
-- became of them, for each pair of versions.
create or replace function risk_comparison(p_tenant int, p_from timestamptz, p_to timestamptz)
returns table (active text, shadow text, version int, shadow_version int, payments bigint,
               paid bigint, failed bigint, disputed bigint)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select d.decision, d.shadow, d.version, d.shadow_version, count(*),
           count(*) filter (where p.status in ('captured', 'partially_refunded', 'refunded')),
           count(*) filter (where p.status = 'failed'),
           count(*) filter (where p.status = 'disputed')
    from risk_decisions d join payments p on p.id = d.id and p.tenant_id = d.tenant_id
    where d.tenant_id = p_tenant and d.shadow is not null
      and d.decided_at >= p_from and d.decided_at < p_to
    group by 1, 2, 3, 4 order by 3, 4, 1, 2;
end $$;

-- Takes: tenant, a span of time, how many. Gives: payments that the two decided differently, newest
-- first.
create or replace function risk_differences(
  p_tenant int, p_from timestamptz, p_to timestamptz, p_limit int
) returns table (id text, decided_at timestamptz, status text, body jsonb)
language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select 'pay_' || d.id::text, d.decided_at, p.status, d.body
    from risk_decisions d join payments p on p.id = d.id and p.tenant_id = d.tenant_id
    where d.tenant_id = p_tenant and d.shadow <> d.decision
      and d.decided_at >= p_from and d.decided_at < p_to
    order by d.decided_at desc, d.id desc limit p_limit;
end $$;
