-- Roll-ups of payments: written with them, read by time, recounted from them.

-- Takes: changes, mostly one for each place. Written in the statement of ledger_write, which set
-- the tenants, after the payments themselves (see system_payment_stats_rebuild).
-- Locks: its rows in key order, one for each place and grain of the batch.
create or replace function payment_stats_write(p_rows jsonb) returns void language sql as $$
  with moved as (
    select r.tenant_id, date_trunc('minute', r.at, 'UTC') as at, r.currency, r.method, r.gateway,
           r.status, r.decline_reason, r.latency,
           coalesce(sum(r.payments), 0) as payments, coalesce(sum(r.captured), 0) as captured,
           coalesce(sum(r.refunded), 0) as refunded, coalesce(sum(r.disputed), 0) as disputed,
           coalesce(sum(r.volume), 0) as volume,
           coalesce(sum(r.captured_amount), 0) as captured_amount,
           coalesce(sum(r.refunded_amount), 0) as refunded_amount,
           coalesce(sum(r.disputed_amount), 0) as disputed_amount,
           coalesce(sum(r.lost_amount), 0) as lost_amount, coalesce(sum(r.fees), 0) as fees
    from jsonb_to_recordset(p_rows) r (tenant_id int, at timestamptz, currency text, method text,
      gateway text, status text, decline_reason text, latency smallint, payments bigint,
      captured bigint, refunded bigint, disputed bigint, volume bigint, captured_amount bigint,
      refunded_amount bigint, disputed_amount bigint, lost_amount bigint, fees bigint)
    group by 1, 2, 3, 4, 5, 6, 7, 8
  ), changed as (
    -- What came and went within the batch has left nothing to write.
    select * from moved m
    where (m.payments, m.captured, m.refunded, m.disputed, m.volume, m.captured_amount,
           m.refunded_amount, m.disputed_amount, m.lost_amount, m.fees)
          <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  )
  insert into payment_stats as s (tenant_id, grain, at, currency, method, gateway, status,
    decline_reason, latency, payments, captured, refunded, disputed, volume, captured_amount,
    refunded_amount, disputed_amount, lost_amount, fees)
  select c.tenant_id, g.grain, date_trunc(g.grain, c.at, 'UTC'), c.currency, c.method, c.gateway,
         c.status, c.decline_reason, c.latency, sum(c.payments), sum(c.captured), sum(c.refunded),
         sum(c.disputed), sum(c.volume), sum(c.captured_amount), sum(c.refunded_amount),
         sum(c.disputed_amount), sum(c.lost_amount), sum(c.fees)
  from changed c, unnest(array['minute', 'hour', 'day']) g (grain)
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9 order by 1, 2, 3, 4, 5, 6, 7, 8, 9
  on conflict (tenant_id, grain, at, currency, method, gateway, status, decline_reason, latency)
  do update set
    payments = s.payments + excluded.payments, captured = s.captured + excluded.captured,
    refunded = s.refunded + excluded.refunded, disputed = s.disputed + excluded.disputed,
    volume = s.volume + excluded.volume,
    captured_amount = s.captured_amount + excluded.captured_amount,
    refunded_amount = s.refunded_amount + excluded.refunded_amount,
    disputed_amount = s.disputed_amount + excluded.disputed_amount,
    lost_amount = s.lost_amount + excluded.lost_amount, fees = s.fees + excluded.fees
$$;

-- Takes: tenant, grain, bounds, a currency or null, what to group by or null. Gives: figures by
-- time, currency and group, without those where nothing is counted; `latencies` has how many
-- payments are in each bucket, as schemas/payment-analytics.ts bounds them.
create or replace function payment_stats_of(
  p_tenant int, p_grain text, p_from timestamptz, p_to timestamptz, p_currency text, p_group text
) returns table (
  at timestamptz, currency text, grouped text, initiated bigint, authorized bigint,
  captured bigint, failed bigint, refunded bigint, disputed bigint, volume float8,
  captured_amount float8, refunded_amount float8, disputed_amount float8, lost_amount float8,
  fees float8, latencies jsonb
) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    with chosen as (
      select s.*, case p_group when 'method' then s.method when 'gateway' then s.gateway
               when 'currency' then s.currency when 'status' then s.status
               when 'decline_reason' then coalesce(nullif(s.decline_reason, ''), 'none')
             end as part
      from payment_stats s
      where s.tenant_id = p_tenant and s.grain = p_grain and s.at >= p_from and s.at < p_to
        and (p_currency is null or s.currency = p_currency) and s.payments <> 0
    ), counted as (
      select c.at, c.currency, c.part, c.latency, sum(c.payments)::bigint as payments
      from chosen c where c.latency > 0 group by 1, 2, 3, 4
    ), buckets as (
      select b.at, b.currency, b.part, jsonb_object_agg(b.latency, b.payments) as latencies
      from counted b group by 1, 2, 3
    )
    select c.at, c.currency, c.part, sum(c.payments)::bigint,
           (sum(c.payments) filter (where c.status = 'authorized'))::bigint,
           sum(c.captured)::bigint, (sum(c.payments) filter (where c.status = 'failed'))::bigint,
           sum(c.refunded)::bigint, sum(c.disputed)::bigint, sum(c.volume)::float8,
           sum(c.captured_amount)::float8, sum(c.refunded_amount)::float8,
           sum(c.disputed_amount)::float8, sum(c.lost_amount)::float8, sum(c.fees)::float8,
           (select b.latencies from buckets b
            where b.at = c.at and b.currency = c.currency and b.part is not distinct from c.part)
    from chosen c group by c.at, c.currency, c.part order by c.currency, c.part, c.at;
end $$;

-- Takes: bounds of initiation. Gives: what the payments of all tenants add up to, by minute.
create or replace function verify_payments_recounted(p_from timestamptz, p_to timestamptz)
returns table (
  tenant_id int, at timestamptz, currency text, method text, gateway text, status text,
  decline_reason text, latency smallint, payments bigint, captured bigint, refunded bigint,
  disputed bigint, volume numeric, captured_amount numeric, refunded_amount numeric,
  disputed_amount numeric, lost_amount numeric, fees numeric
) language sql stable as $$
  select p.tenant_id, date_trunc('minute', p.initiated_at, 'UTC'), p.body->>'currency',
         p.body->'method'->>'type', p.body->>'gateway', p.status,
         case when p.status = 'failed' then coalesce(p.body->>'decline_reason', '') else '' end,
         case when p.body->>'capture' = 'automatic' and p.body->'risk'->>'decision' = 'allow'
               and p.body->>'captured_ms' is not null
              then 1 + width_bucket((p.body->>'captured_ms')::bigint - 1
                     - floor(extract(epoch from p.initiated_at) * 1000)::bigint,
                     array[100, 200, 300, 500, 750, 1000, 2000, 5000, 10000, 30000,
                           120000]::bigint[])
              else 0 end::smallint,
         count(*), count(*) filter (where (p.body->>'captured')::bigint > 0),
         count(*) filter (where r.amount > 0), count(*) filter (where d.disputes > 0),
         sum((p.body->>'amount')::bigint), sum((p.body->>'captured')::bigint), sum(r.amount),
         sum(d.open_amount), sum(d.lost_amount), sum((p.body->>'fee')::bigint + d.fees + t.fees)
  from payments p
  cross join lateral (
    select coalesce(sum((b.refund->>'amount')::bigint), 0) as amount
    from jsonb_each(p.body->'refunds') b (id, refund) where b.refund->>'status' = 'succeeded') r
  cross join lateral (
    select count(*) as disputes, coalesce(sum((b.dispute->>'fee')::bigint), 0) as fees,
           coalesce(sum((b.dispute->>'amount')::bigint)
             filter (where b.dispute->>'status' = 'open'), 0) as open_amount,
           coalesce(sum((b.dispute->>'amount')::bigint)
             filter (where b.dispute->>'status' = 'lost'), 0) as lost_amount
    from jsonb_each(p.body->'disputes') b (id, dispute)) d
  cross join lateral (
    select coalesce(sum((b.stray->>'fee')::bigint), 0) as fees
    from jsonb_each(p.body->'strays') b (attempt, stray)) t
  where p.initiated_at >= p_from and p.initiated_at < p_to
  group by 1, 2, 3, 4, 5, 6, 7, 8
$$;

-- The same by minute, hour and day.
create or replace function verify_payments_by_grain(p_from timestamptz, p_to timestamptz)
returns setof payment_stats language sql stable as $$
  select r.tenant_id, g.grain, date_trunc(g.grain, r.at, 'UTC'), r.currency, r.method, r.gateway,
         r.status, r.decline_reason, r.latency, sum(r.payments)::bigint, sum(r.captured)::bigint,
         sum(r.refunded)::bigint, sum(r.disputed)::bigint, sum(r.volume), sum(r.captured_amount),
         sum(r.refunded_amount), sum(r.disputed_amount), sum(r.lost_amount), sum(r.fees)
  from verify_payments_recounted(p_from, p_to) r, unnest(array['minute', 'hour', 'day']) g (grain)
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9
$$;

-- Days of which there are roll-ups. Takes: whether to look at all payments too, for days that have
-- none. Gives: the first, and the one after the last; null: none.
create or replace function system_payment_days(
  p_payments boolean, out first_day timestamptz, out end_day timestamptz
) language sql stable security definer set search_path = tallyrace, pg_temp as $$
  with days as (
    select date_trunc('day', min(p.initiated_at), 'UTC') as first,
           date_trunc('day', max(p.initiated_at), 'UTC') as last from payments p where p_payments
    union all
    select d.first, d.last from tenants t cross join lateral (
      select min(s.at) as first, max(s.at) as last from payment_stats s
      where s.tenant_id = t.id and s.grain = 'day') d
  )
  select min(d.first), max(d.last) + interval '1 day' from days d
$$;

-- Takes: bounds, of whole days. Gives: where roll-ups are not what payments add up to, at most 20,
-- each with how many there are. One snapshot, so it may run beside the work.
create or replace function system_verify_payment_stats(p_from timestamptz, p_to timestamptz)
returns table (detail text, total bigint)
language sql stable security definer set search_path = tallyrace, pg_temp set work_mem = '64MB'
as $$
  with compared as (
    select tenant_id, grain, at, currency, method, gateway, status, decline_reason, latency,
           array[s.payments, s.captured, s.refunded, s.disputed, s.volume, s.captured_amount,
                 s.refunded_amount, s.disputed_amount, s.lost_amount, s.fees]::numeric[] as kept,
           array[r.payments, r.captured, r.refunded, r.disputed, r.volume, r.captured_amount,
                 r.refunded_amount, r.disputed_amount, r.lost_amount, r.fees]::numeric[] as counted
    from (select * from payment_stats k where k.at >= p_from and k.at < p_to) s
    full join verify_payments_by_grain(p_from, p_to) r
      using (tenant_id, grain, at, currency, method, gateway, status, decline_reason, latency)
  ), filled as (
    select c.*, array(select coalesce(n, 0) from unnest(c.kept) n) as had,
           array(select coalesce(n, 0) from unnest(c.counted) n) as has from compared c
  )
  select format('%s of %s, %s %s %s %s%s of tenant %s: %s in the roll-up, %s of payments', f.grain,
           to_char(f.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), f.currency, f.method,
           f.gateway, f.status, ' ' || nullif(f.decline_reason, ''), f.tenant_id, f.had, f.has),
         count(*) over ()
  from filled f where f.had <> f.has order by f.at, f.grain limit 20
$$;

-- Takes: bounds, of whole days. Gives: payments counted. Roll-ups of the days are made anew.
-- Locks: payments, so that batches wait: each writes its payments before its roll-ups, and so is
-- seen here with both or with neither. Safe to repeat: yes.
create or replace function system_payment_stats_rebuild(p_from timestamptz, p_to timestamptz)
returns bigint language plpgsql security definer set search_path = tallyrace, pg_temp as $$
begin
  lock table payments in share row exclusive mode;
  delete from payment_stats s where s.at >= p_from and s.at < p_to;
  insert into payment_stats select * from verify_payments_by_grain(p_from, p_to);
  return (select coalesce(sum(s.payments), 0)::bigint from payment_stats s
          where s.grain = 'day' and s.at >= p_from and s.at < p_to);
end $$;
