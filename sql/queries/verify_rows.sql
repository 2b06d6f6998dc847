-- What verification computes of a stretch of the ledger, and how it names rows. A stretch is all
-- that was posted from one time (inclusive) to another (exclusive). Functions that name give the
-- kind of problem, its rows (20 at most), and how many there are in all.
-- Plans are made for the very bounds, since a general plan would not use the BRIN.

-- The state of an account after an entry, as a number. Takes: key, sequence, balance. Gives: 63
-- bits. An entry leads from one state to the next, so over a whole chain everything between the
-- first and the last cancels out: sums of `after - before` need no sorting.
create or replace function verify_state(p_key uuid, p_sequence bigint, p_balance bigint)
returns bigint language sql immutable parallel safe as $$
  select hashint8extended(p_balance,
           hashint8extended(p_sequence, uuid_hash_extended(p_key, 0))) >> 1
$$;

-- Sums over the entries of a stretch. Takes: bounds, and a salt that nobody could know before.
-- Gives: how many; the sum of their hashes, and the same weighed with the hash of the key; how they
-- lead from state to state; whether amounts tilt. Each amount is weighed by three hashes of its
-- event and unit: where every transaction sums to zero so does the whole, and one that does not
-- escapes with a chance of 2^-30.
create or replace function verify_entry_sums(
  p_from timestamptz, p_to timestamptz, p_salt bigint, out entries bigint, out digest numeric,
  out place numeric, out chain numeric, out tilts boolean
) language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan set enable_nestloop = off set jit = off as $$
begin
  select count(*), coalesce(sum(r.hash), 0), coalesce(sum(r.hash * r.place), 0),
         coalesce(sum(r.after - r.before), 0),
         coalesce(sum(r.amount * (r.tilt & 1023)) <> 0
               or sum(r.amount * (r.tilt >> 10 & 1023)) <> 0
               or sum(r.amount * (r.tilt >> 20 & 1023)) <> 0, false)
    into entries, digest, place, chain, tilts
  from (
    select e.amount,
           uuid_hash_extended(e.event_key, hashint8extended(e.amount, hashint8extended(
             e.balance_after, hashint8extended(e.sequence, uuid_hash_extended(e.account_key,
             e.tenant_id))))) & 2147483647 as hash,
           hashint8extended(e.sequence, uuid_hash_extended(e.account_key, 1)) & 2147483647
             as place,
           verify_state(e.account_key, e.sequence, e.balance_after) as after,
           verify_state(e.account_key, e.sequence - 1, e.balance_after - e.amount) as before,
           hashtextextended(b.unit, uuid_hash_extended(e.event_key, p_salt)) as tilt
    from entries e left join balances b on b.account_key = e.account_key
    where e.posted_at >= p_from and e.posted_at < p_to
    offset 0
  ) r;
end $$;

-- Sums over the outcomes of a stretch. Gives: how many, the sum of their hashes, the same weighed
-- with the hash of the key, and for each stream how many were posted and refused and the sums of
-- their offsets and of the squares of them.
create or replace function verify_outcome_sums(
  p_from timestamptz, p_to timestamptz, out outcomes bigint, out digest numeric,
  out place numeric, out streams jsonb
) language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan set enable_nestloop = off set jit = off as $$
begin
  select coalesce(sum(s.posted + s.refused), 0), coalesce(sum(s.digest), 0),
         coalesce(sum(s.place), 0),
         coalesce(jsonb_object_agg(s.stream, jsonb_build_object('posted', s.posted,
           'refused', s.refused, 'offsets', s.offsets, 'squares', s.squares)), '{}')
    into outcomes, digest, place, streams
  from (
    select r.stream, count(*) filter (where r.verdict = 1) as posted,
           count(*) filter (where r.verdict = 2) as refused, sum(r.stream_offset) as offsets,
           sum(r.stream_offset::numeric * r.stream_offset) as squares, sum(r.hash) as digest,
           sum(r.hash * r.place) as place
    from (
      select o.stream, o.verdict, o.stream_offset,
             hash_record_extended(row(o.event_key, o.stream_offset, o.fingerprint, o.accepted_at,
               o.posted_at, o.tenant_id, o.verdict, o.event_id, o.type, o.stream, o.reason, o.body),
               0) & 2147483647 as hash,
             uuid_hash_extended(o.event_key, 1) & 2147483647 as place
      from outcomes o where o.posted_at >= p_from and o.posted_at < p_to
      offset 0
    ) r
    group by r.stream
  ) s;
end $$;

-- Names transactions that do not sum to zero.
create or replace function verify_transactions(p_from timestamptz, p_to timestamptz)
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan as $$
begin
  return query
    select 'sum', format('event %s (key %s): entries in %s sum to %s', coalesce(o.event_id, '?'),
             e.event_key, e.unit, e.amount), e.total
    from (select x.event_key, b.unit, sum(x.amount) as amount, count(*) over () as total
          from entries x join balances b using (account_key)
          where x.posted_at >= p_from and x.posted_at < p_to
          group by x.event_key, b.unit having sum(x.amount) <> 0 limit 20) e
    left join outcomes o on o.event_key = e.event_key;
end $$;

-- Whether each account's entries of a stretch follow each other, and the one before the stretch
-- unless it has been archived. Without sorting: by the first and the last of each account, how many
-- there are, and where they lead from state to state.
create or replace function verify_chains_hold(p_from timestamptz, p_to timestamptz)
returns boolean language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan set jit = off as $$
declare v_archived boolean := verify_entries_since() > '-infinity';
begin
  return (
    select coalesce(bool_and(
        c.entries = c.last[1] - c.first[1] + 1
        and c.chain = verify_state(c.account_key, c.last[1], c.last[2])
                    - verify_state(c.account_key, c.first[1] - 1, c.first[2])
        and case when p.balance_after is not null then c.first[2] = p.balance_after
                 when c.first[1] = 1 then c.first[2] = 0 else v_archived end), true)
    from (
      select e.account_key, count(*) as entries,
             min(array[e.sequence, e.balance_after - e.amount]) as first,
             max(array[e.sequence, e.balance_after]) as last,
             sum(verify_state(e.account_key, e.sequence, e.balance_after)
               - verify_state(e.account_key, e.sequence - 1, e.balance_after - e.amount)) as chain
      from entries e where e.posted_at >= p_from and e.posted_at < p_to
      group by e.account_key offset 0
    ) c left join lateral (
      select b.balance_after from entries b
      where b.account_key = c.account_key and b.sequence = c.first[1] - 1 limit 1
    ) p on true);
end $$;

-- Names entries that do not follow from the one before: a gap, or another balance after. What
-- came before the stretch is looked up, unless it has been archived.
create or replace function verify_chain(p_from timestamptz, p_to timestamptz)
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan set jit = off as $$
declare v_archived boolean := verify_entries_since() > '-infinity';
begin
  return query
    with chained as (
      select e.account_key, e.sequence, e.balance_after, e.amount,
             lag(e.sequence) over w as before_sequence, lag(e.balance_after) over w as before
      from entries e where e.posted_at >= p_from and e.posted_at < p_to
      window w as (partition by e.account_key order by e.sequence)
    ), broken as (
      select c.account_key, c.sequence, c.balance_after,
             c.sequence - coalesce(c.before_sequence, p.sequence, 0) as step,
             c.balance_after - coalesce(c.before, p.balance_after, 0) - c.amount as slip
      from chained c left join lateral (
        select b.sequence, b.balance_after from entries b
        where c.before_sequence is null and c.sequence > 1
          and b.account_key = c.account_key and b.sequence < c.sequence
        order by b.sequence desc limit 1
      ) p on true
      where not (v_archived and c.before_sequence is null and c.sequence > 1
                 and p.sequence is null)
    ), counted as (
      select *, count(*) over () as total from broken where step <> 1 or slip <> 0 limit 20
    )
    select case when c.step <> 1 then 'sequence' else 'balance_chain' end,
           format('account %s tenant %s unit %s: entry %s %s',
             coalesce(b.account, c.account_key::text), b.tenant_id, b.unit, c.sequence,
             case when c.step <> 1 then format('follows the one before by %s', c.step)
               else format('has a balance after of %s, off by %s', c.balance_after, c.slip) end),
           c.total
    from counted c left join balances b on b.account_key = c.account_key;
end $$;

-- Names events with entries and without a posted outcome.
create or replace function verify_orphans(p_from timestamptz, p_to timestamptz)
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan set enable_nestloop = off set jit = off as $$
begin
  return query
    select 'orphan', format('entries of event key %s have no posted outcome (account %s, entry %s)',
             x.event_key, coalesce(b.account, x.account_key::text), x.sequence), x.total
    from (select distinct on (e.event_key) e.event_key, e.account_key, e.sequence,
                 count(*) over () as total
          from entries e
          where e.posted_at >= p_from and e.posted_at < p_to and not exists
            (select from outcomes o where o.posted_at >= p_from and o.posted_at < p_to
               and o.verdict = 1 and o.event_key = e.event_key and o.posted_at = e.posted_at)
          order by e.event_key limit 20) x
    left join balances b on b.account_key = x.account_key;
end $$;

-- Names posted events without entries, of types that have entries elsewhere in the stretch. Asked
-- where entries are missing: some events rightly post nothing.
create or replace function verify_bare(p_from timestamptz, p_to timestamptz)
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp
set plan_cache_mode = force_custom_plan set enable_nestloop = off set jit = off as $$
begin
  return query
    with posted as (
      select o.event_key, o.event_id, o.type, o.stream, o.stream_offset,
             exists (select from entries e where e.posted_at >= p_from and e.posted_at < p_to
                       and e.event_key = o.event_key) as has_entries
      from outcomes o where o.posted_at >= p_from and o.posted_at < p_to and o.verdict = 1
    )
    select 'bare', format('event %s (key %s, stream %s offset %s) is posted and has no entries',
             p.event_id, p.event_key, p.stream, p.stream_offset), count(*) over ()
    from posted p
    where not p.has_entries and p.type in (select q.type from posted q where q.has_entries)
    limit 20;
end $$;

-- Names accounts whose balance is not what their last entry says. A probe for each account.
create or replace function verify_balances()
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp set jit = off as $$
declare v_archived boolean := verify_entries_since() > '-infinity';
begin
  return query
    select 'balance', format('account %s tenant %s unit %s: balance %s at sequence %s, but its '
             'last entry says %s at sequence %s', b.account, b.tenant_id, b.unit, b.balance,
             b.sequence, coalesce(l.balance_after, 0), coalesce(l.sequence, 0)), count(*) over ()
    from balances b left join lateral (
      select e.sequence, e.balance_after from entries e
      where e.account_key = b.account_key order by e.sequence desc limit 1) l on true
    where (b.balance <> coalesce(l.balance_after, 0) or b.sequence <> coalesce(l.sequence, 0))
      and not (v_archived and l.sequence is null)
    limit 20;
  return query
    select 'balance', format('entries of account key %s have no balance', l.account_key),
           count(*) over ()
    from (select distinct e.account_key from entries e
          where not exists (select from balances b where b.account_key = e.account_key)) l
    limit 20;
end $$;

-- Gives: the first month that entries have a partition for; null where there is none.
create or replace function verify_first_month() returns timestamptz
language sql stable set search_path = tallyrace, pg_temp as $$
  select min(substring(pg_get_expr(c.relpartbound, c.oid) from $r$FROM \('([^']+)'\)$r$)
               ::timestamptz)
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'entries'::regclass
$$;

-- Gives: from when on the entries are here, because earlier months have been detached; '-infinity'
-- while the first month that was ever proven is here.
create or replace function verify_entries_since() returns timestamptz
language sql stable set search_path = tallyrace, pg_temp as $$
  select case when exists (select from verified_ranges r
                           where r.to_at <= verify_first_month() and r.entries > 0)
              then verify_first_month() else '-infinity' end
$$;
