-- Disputes: rows that follow their payments, lists of them, and what is due.

-- Takes: disputes as they are after each event, in the order of the stream, so that the last one
-- counts. Written in the statement of ledger_write, which set the tenants.
-- Locks: its rows; one stream decides a payment, so nobody else writes them.
create or replace function disputes_write(p_rows jsonb) returns void language sql as $$
  insert into disputes as d (id, tenant_id, payment_id, customer_id, gateway, currency, amount, fee,
    status, reason, evidence_status, due_by, reminded_of, created_at, updated_at)
  select distinct on (r.id, r.tenant_id) r.id, r.tenant_id, r.payment_id, r.customer_id, r.gateway,
         r.currency, r.amount, r.fee, r.status, r.reason, r.evidence_status, r.due_by,
         r.reminded_of, to_timestamp(min(r.at_ms) over (partition by r.id, r.tenant_id) / 1000.0),
         to_timestamp(r.at_ms / 1000.0)
  from rows from (jsonb_to_recordset(p_rows) as (id text, tenant_id int, payment_id text,
    customer_id text, gateway text, currency text, amount bigint, fee bigint, status text,
    reason text, evidence_status text, due_by timestamptz, reminded_of timestamptz, at_ms bigint))
    with ordinality r (id, tenant_id, payment_id, customer_id, gateway, currency, amount, fee,
      status, reason, evidence_status, due_by, reminded_of, at_ms, i)
  order by r.id, r.tenant_id, r.i desc
  on conflict (id, tenant_id) do update
    set payment_id = excluded.payment_id, customer_id = excluded.customer_id,
        gateway = excluded.gateway, currency = excluded.currency, amount = excluded.amount,
        fee = excluded.fee, status = excluded.status, reason = excluded.reason,
        evidence_status = excluded.evidence_status, due_by = excluded.due_by,
        reminded_of = excluded.reminded_of, updated_at = excluded.updated_at
$$;

-- Takes: submissions, and what gateways said of them. Written in the statement of ledger_write.
create or replace function dispute_evidence_write(p_rows jsonb) returns void
language plpgsql as $$
begin
  insert into dispute_evidence (id, tenant_id, dispute_id, status, items, note, submitted_by,
    submitted_at)
  select r.id, r.tenant_id, r.dispute_id, r.status, r.items, r.note, r.actor, r.submitted_at
  from jsonb_to_recordset(p_rows) r (id text, tenant_id int, dispute_id text, status text,
    items jsonb, note text, actor text, submitted_at timestamptz)
  where r.items is not null
  on conflict (id, tenant_id) do nothing;

  update dispute_evidence e set status = r.status, detail = r.detail
  from jsonb_to_recordset(p_rows) r (id text, tenant_id int, status text, items jsonb, detail text)
  where r.items is null and e.id = r.id and e.tenant_id = r.tenant_id;
end $$;

-- Takes: tenant, id. Gives: the dispute and what was handed in for it, oldest first; or no row.
create or replace function dispute_get(p_tenant int, p_id text)
returns table (dispute jsonb, evidence jsonb) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select to_jsonb(d), (
      select coalesce(jsonb_agg(to_jsonb(e) order by e.submitted_at, e.id), '[]')
      from dispute_evidence e where e.dispute_id = p_id and e.tenant_id = p_tenant)
    from disputes d where d.id = p_id and d.tenant_id = p_tenant;
end $$;

-- Takes: tenant; what to list, null for all; the last time and id seen; how many. Gives: newest
-- first.
create or replace function disputes_list(
  p_tenant int, p_status text, p_evidence_status text, p_gateway text, p_payment text,
  p_customer text, p_due_before timestamptz, p_before timestamptz, p_before_id text, p_limit int
) returns table (dispute jsonb) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select to_jsonb(d) from disputes d
    where d.tenant_id = p_tenant
      and (p_status is null or d.status = p_status)
      and (p_evidence_status is null or d.evidence_status = p_evidence_status)
      and (p_gateway is null or d.gateway = p_gateway)
      and (p_payment is null or d.payment_id = p_payment)
      and (p_customer is null or d.customer_id = p_customer)
      and (p_due_before is null or d.due_by < p_due_before)
      and (p_before is null or (d.created_at, d.id) < (p_before, p_before_id))
    order by d.created_at desc, d.id desc limit p_limit;
end $$;

-- Disputes of all tenants that nobody has answered and nobody was reminded of.
-- Takes: up to which deadline, how many. Gives: those due first; those that are over are not.
create or replace function system_disputes_due(p_before timestamptz, p_limit int)
returns table (tenant_id int, id text, payment_id text, due_by timestamptz)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select d.tenant_id, d.id, d.payment_id, d.due_by from disputes d
  where d.status = 'open' and d.evidence_status in ('none', 'refused')
    and d.due_by > now() and d.due_by < p_before and d.reminded_of is distinct from d.due_by
  order by d.due_by limit p_limit
$$;

-- Gives: disputes that are open, by whether they are answered; how many of those that are not are
-- past their deadline, and the nearest one to come, in seconds since 1970; null: none.
create or replace function system_disputes_state(
  out unanswered bigint, out answered bigint, out overdue bigint, out next_due_s float8
) language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select count(*) filter (where d.evidence_status in ('none', 'refused')),
         count(*) filter (where d.evidence_status in ('pending', 'submitted')),
         count(*) filter (where d.evidence_status in ('none', 'refused') and d.due_by <= now()),
         extract(epoch from min(d.due_by) filter (
           where d.evidence_status in ('none', 'refused') and d.due_by > now()))::float8
  from disputes d where d.status = 'open'
$$;

-- Gives: disputes whose row is not what their payment says, of payments initiated within bounds.
create or replace function system_verify_disputes(p_from timestamptz, p_to timestamptz)
returns table (detail text, total bigint)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  with said as (
    select p.tenant_id, k.id, 'pay_' || p.id::text as payment_id, k.dispute
    from payments p cross join lateral jsonb_each(p.body->'disputes') k (id, dispute)
    where p.initiated_at >= p_from and p.initiated_at < p_to and p.body->'disputes' <> '{}'
  )
  select format('dispute %s of %s of tenant %s: %s %s %s in its row, %s %s %s in the payment', s.id,
           s.payment_id, s.tenant_id, d.status, d.amount, d.fee, s.dispute->>'status',
           s.dispute->>'amount', s.dispute->>'fee'),
         count(*) over ()
  from said s left join disputes d on d.id = s.id and d.tenant_id = s.tenant_id
  where (d.payment_id, d.status, d.amount, d.fee) is distinct from
        (s.payment_id, s.dispute->>'status', (s.dispute->>'amount')::bigint,
         (s.dispute->>'fee')::bigint)
  limit 20
$$;
