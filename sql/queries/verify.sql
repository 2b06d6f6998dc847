-- What `tallyrace verify` asks of the ledger. Marked stable, so that all of it sees one snapshot,
-- on a running system too. Every problem names its rows; at most 20 of a kind.

-- Takes: nothing. Gives: the streams' counters, and what is wrong in the ledger by itself.
create or replace function system_verify(out streams jsonb, out problems jsonb)
language plpgsql stable security definer set search_path = tallyrace, pg_temp
set work_mem = '128MB' as $$
begin
  select jsonb_agg(to_jsonb(s) order by s.stream) into streams from streams s;
  select coalesce(jsonb_agg(jsonb_build_object('check', p.name, 'detail', p.detail)), '[]')
    into problems
    from (
      select * from verify_streams()
      union all select * from verify_transactions()
      union all select * from verify_accounts()
      union all select * from verify_outcomes()
    ) p (name, detail);
end $$;

-- Per stream: the counters add up to the settled offset, and equal the rows they count.
create or replace function verify_streams() returns table (name text, detail text)
language sql stable set search_path = tallyrace, pg_temp as $$
  with counted as (
    select s.*,
      (select count(*) from outcomes o where o.stream = s.stream and o.verdict = 1) as posted_rows,
      (select count(*) from outcomes o where o.stream = s.stream and o.verdict = 2)
        + (select count(*) from conflicts c where c.stream = s.stream) as refused_rows,
      (select coalesce(sum(d.events), 0) from dead_letters d
        where d.stream = s.stream and d.status <> 'retried') as dead_rows,
      (select count(*) from deferred d where d.stream = s.stream) as deferred_rows
    from streams s
  )
  select 'accounting', format('stream %s: settled %s, but posted %s + refused %s + dead %s + '
           'duplicate %s + deferred %s + lost %s - renumbered %s is something else', stream,
           settled,
           posted, refused, dead, duplicate, deferred, lost, renumbered)
    from counted
    where settled <> posted + refused + dead + duplicate + deferred + lost - renumbered
  union all
  select 'accounting', format('stream %s: counted posted %s refused %s dead %s deferred %s, but '
           'there are rows for %s, %s, %s, %s', stream, posted, refused, dead, deferred,
           posted_rows, refused_rows, dead_rows, deferred_rows)
    from counted
    where (posted, refused, dead, deferred) <> (posted_rows, refused_rows, dead_rows, deferred_rows)
  union all
  select 'lost', format('stream %s: Redis lost %s accepted events', stream, lost)
    from counted where lost > 0
$$;

-- Every transaction sums to zero per unit.
create or replace function verify_transactions() returns table (name text, detail text)
language sql stable set search_path = tallyrace, pg_temp as $$
  (select 'sum', format('event %s (key %s): entries in %s sum to %s', coalesce(o.event_id, '?'),
            e.event_key, e.unit, e.total)
     from (select x.event_key, b.unit, sum(x.amount) as total
             from entries x join balances b using (account_key)
             group by x.event_key, b.unit having sum(x.amount) <> 0 limit 20) e
     left join outcomes o on o.event_key = e.event_key)
$$;

-- Every account: entries 1..sequence without a gap, each balance after following from the one
-- before, the last equal to the balance, and the balance not below its floor.
create or replace function verify_accounts() returns table (name text, detail text)
language sql stable set search_path = tallyrace, pg_temp as $$
  with chained as (
    select e.account_key, e.sequence, e.balance_after,
      e.sequence - lag(e.sequence, 1, 0::bigint) over w as step,
      e.balance_after - lag(e.balance_after, 1, 0::bigint) over w - e.amount as slip
    from entries e window w as (partition by e.account_key order by e.sequence)
  ), broken as (
    select c.* from chained c where c.step <> 1 or c.slip <> 0 limit 20
  ), last_of as (
    select account_key, max(sequence) as sequence, sum(amount) as total from entries
    group by account_key
  )
  select case when c.step <> 1 then 'sequence' else 'balance_chain' end,
      format('account %s tenant %s unit %s: entry %s %s', coalesce(b.account, c.account_key::text),
        b.tenant_id, b.unit, c.sequence, case when c.step <> 1
          then format('follows the one before by %s', c.step)
          else format('has a balance after of %s, off by %s', c.balance_after, c.slip) end)
    from broken c left join balances b on b.account_key = c.account_key
  union all
  (select 'balance', format('account %s tenant %s unit %s: balance %s at sequence %s, but its '
            'entries sum to %s and end at %s', b.account, b.tenant_id, b.unit, b.balance,
            b.sequence, coalesce(l.total, 0), coalesce(l.sequence, 0))
     from balances b left join last_of l on l.account_key = b.account_key
     where b.balance <> coalesce(l.total, 0) or b.sequence <> coalesce(l.sequence, 0) limit 20)
  union all
  (select 'balance', format('entries of account key %s have no balance', l.account_key)
     from last_of l where not exists (select from balances b where b.account_key = l.account_key)
     limit 20)
  union all
  (select 'floor', format('account %s tenant %s unit %s: balance %s is below its floor %s', account,
            tenant_id, unit, balance, floor)
     from balances where balance < floor limit 20)
$$;

-- Entries come from posted outcomes only.
create or replace function verify_outcomes() returns table (name text, detail text)
language sql stable set search_path = tallyrace, pg_temp as $$
  (select 'orphan', format('entries of event key %s have no posted outcome', e.event_key)
     from (select distinct event_key from entries) e
     where not exists (select from outcomes o where o.event_key = e.event_key and o.verdict = 1)
     limit 20)
$$;

-- For comparing caches. Takes: tenants and account names side by side. Gives: their balances.
create or replace function system_balances_of(p_tenants int[], p_accounts text[])
returns table (tenant_id int, account text, unit text, balance bigint, sequence bigint)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select b.tenant_id, b.account, b.unit, b.balance, b.sequence
  from unnest(p_tenants, p_accounts) k (tenant_id, account)
  join balances b on b.account = k.account and b.tenant_id = k.tenant_id
$$;

do $$ begin
  revoke execute on function verify_streams, verify_transactions, verify_accounts, verify_outcomes
    from public;
end $$;
