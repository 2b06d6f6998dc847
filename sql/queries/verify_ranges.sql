-- Proven stretches of history: what they add up to, how one that has changed is named, and how the
-- verified point moves. None of it is for the application to call.

-- Sums over a stretch, and whether amounts tilt.
create or replace function verify_sums(
  p_from timestamptz, p_to timestamptz, out sums verified_ranges, out tilts boolean
) language plpgsql stable set search_path = tallyrace, pg_temp as $$
declare
  e record;
  o record;
begin
  select * into o from verify_outcome_sums(p_from, p_to);
  select * into e from verify_entry_sums(p_from, p_to, (random() * 2 ^ 52)::bigint);
  sums := row(p_from, p_to, o.outcomes, o.digest, o.place, e.entries, e.digest, e.place, e.chain,
              o.streams, false, now())::verified_ranges;
  tilts := e.tilts;
end $$;

-- What is wrong within a stretch by itself. Takes: bounds, whether its amounts tilt, whether to
-- look at each account's chain, which is sorted only where it does not hold. Gives: problems.
create or replace function verify_broken(
  p_from timestamptz, p_to timestamptz, p_tilts boolean, p_chains boolean
) returns jsonb language plpgsql stable set search_path = tallyrace, pg_temp as $$
declare
  v_problems jsonb;
  v_torn     boolean := p_chains and not verify_chains_hold(p_from, p_to);
begin
  select coalesce(jsonb_agg(to_jsonb(f)), '[]') into v_problems from (
    select * from verify_orphans(p_from, p_to)
    union all select * from verify_transactions(p_from, p_to) where p_tilts
    union all select * from verify_chain(p_from, p_to) where v_torn
  ) f ("check", detail, total);
  if jsonb_path_exists(v_problems, '$[*] ? (@.check == "sequence")') then
    v_problems := v_problems || (select coalesce(jsonb_agg(to_jsonb(f)), '[]')
      from verify_bare(p_from, p_to) f ("check", detail, total));
  end if;
  return v_problems;
end $$;

-- Compares a stretch with what was proven of it. Where the sums of one changed row are apart, the
-- weighed difference over the plain one is the hash of its key. Takes: then, now, whether its
-- entries are here. Gives: problems, with the row where it was one.
create or replace function verify_compared(
  p_then verified_ranges, p_now verified_ranges, p_here boolean
) returns jsonb language plpgsql stable set search_path = tallyrace, pg_temp as $$
declare
  v_problems jsonb := '[]';
  v_where    text := format('posted from %s to %s', p_then.from_at, p_then.to_at);
  v_row      text;
begin
  if (p_then.outcomes, p_then.outcome_digest, p_then.outcome_place)
     <> (p_now.outcomes, p_now.outcome_digest, p_now.outcome_place) then
    select format('event %s (key %s, stream %s offset %s)', o.event_id, o.event_key, o.stream,
                  o.stream_offset) into v_row
      from outcomes o where o.posted_at >= p_then.from_at and o.posted_at < p_then.to_at
        and uuid_hash_extended(o.event_key, 1) & 2147483647
          = div(p_now.outcome_place - p_then.outcome_place,
                nullif(p_now.outcome_digest - p_then.outcome_digest, 0)) limit 1;
    v_problems := v_problems || jsonb_build_object('check', 'changed', 'total', 1, 'detail',
      format('outcomes %s: %s were verified, %s are there; %s', v_where, p_then.outcomes,
        p_now.outcomes, coalesce(v_row || ' is not what it was', 'what differs is not one row')));
    v_problems := v_problems || (select coalesce(jsonb_agg(to_jsonb(f)), '[]')
      from streams s
        cross join lateral verify_offsets(s.stream, s.settled) f ("check", detail, total)
      where p_then.streams -> s.stream is distinct from p_now.streams -> s.stream
        and verify_is_placed(s));
  end if;
  if p_here and (p_then.entries, p_then.entry_digest, p_then.entry_place, p_then.chain)
     <> (p_now.entries, p_now.entry_digest, p_now.entry_place, p_now.chain) then
    select format('entry %s of account %s', e.sequence, coalesce(b.account, e.account_key::text))
      into v_row
      from entries e left join balances b on b.account_key = e.account_key
      where e.posted_at >= p_then.from_at and e.posted_at < p_then.to_at
        and hashint8extended(e.sequence, uuid_hash_extended(e.account_key, 1)) & 2147483647
          = div(p_now.entry_place - p_then.entry_place,
                nullif(p_now.entry_digest - p_then.entry_digest, 0)) limit 1;
    v_problems := v_problems || jsonb_build_object('check', 'changed', 'total', 1, 'detail',
      format('entries %s: %s were verified, %s are there; %s', v_where, p_then.entries,
        p_now.entries, coalesce(v_row || ' is not what it was', 'what differs is not one row')));
  end if;
  return v_problems;
end $$;

-- Keeps a proven stretch and moves the verified point as far as kept ones reach without a hole.
-- Small ones of a month grow together, since their sums add up: an idle night leaves no rows.
-- Locks: the point. Safe to repeat: yes; another run may have kept a stretch that overlaps.
create or replace function verify_keep(p_range verified_ranges) returns void
language plpgsql set search_path = tallyrace, pg_temp as $$
declare
  v_point verified_point;
  v_next  verified_ranges;
begin
  select * into v_point from verified_point for update;
  insert into verified_ranges select (p_range).* on conflict do nothing;
  loop
    select * into v_next from verified_ranges r where r.from_at = v_point.verified_until;
    exit when not found;
    insert into verified_streams as t (stream, posted, refused, offsets, squares)
      select s.stream, s.posted, s.refused, s.offsets, s.squares
      from verify_range_streams(v_next.streams) s
      on conflict (stream) do update set posted = t.posted + excluded.posted,
        refused = t.refused + excluded.refused, offsets = t.offsets + excluded.offsets,
        squares = t.squares + excluded.squares;
    update verified_point v set verified_until = v_next.to_at, chain = v.chain + v_next.chain,
      ranges = v.ranges + 1 - verify_joined(v_next) returning v.* into v_point;
  end loop;
end $$;

-- Joins a stretch to the one before it, where both are small, of one month, and not suspect.
-- Gives: 1 where that was done, else 0.
create or replace function verify_joined(p_range verified_ranges) returns int
language plpgsql set search_path = tallyrace, pg_temp set timezone = 'UTC' as $$
declare
  v_before verified_ranges;
begin
  select * into v_before from verified_ranges r where r.to_at = p_range.from_at;
  if not found or v_before.suspect or v_before.entries + v_before.outcomes > 100000
    or p_range.entries + p_range.outcomes > 100000
    or date_trunc('month', p_range.to_at - interval '1 microsecond')
       <> date_trunc('month', v_before.to_at - interval '1 microsecond') then
    return 0;
  end if;
  delete from verified_ranges r where r.from_at = p_range.from_at;
  update verified_ranges r set to_at = p_range.to_at, outcomes = r.outcomes + p_range.outcomes,
      outcome_digest = r.outcome_digest + p_range.outcome_digest,
      outcome_place = r.outcome_place + p_range.outcome_place,
      entries = r.entries + p_range.entries, entry_digest = r.entry_digest + p_range.entry_digest,
      entry_place = r.entry_place + p_range.entry_place, chain = r.chain + p_range.chain,
      streams = (select coalesce(jsonb_object_agg(s.stream, to_jsonb(s) - 'stream'), '{}') from (
        select x.stream, sum(x.posted) as posted, sum(x.refused) as refused,
               sum(x.offsets) as offsets, sum(x.squares) as squares
        from (select * from verify_range_streams(r.streams)
              union all select * from verify_range_streams(p_range.streams)) x group by 1) s)
    where r.from_at = v_before.from_at;
  return 1;
end $$;

-- What a stretch has of each stream, as rows.
create or replace function verify_range_streams(p_streams jsonb)
returns table (stream text, posted bigint, refused bigint, offsets numeric, squares numeric)
language sql immutable set search_path = tallyrace, pg_temp as $$
  select s.key, (s.value ->> 'posted')::bigint, (s.value ->> 'refused')::bigint,
         (s.value ->> 'offsets')::numeric, (s.value ->> 'squares')::numeric
  from jsonb_each(p_streams) s
$$;

-- Names what is wrong with the verified point itself: it stands where proven stretches end that
-- follow each other from the beginning, and what it adds up is what they have.
create or replace function verify_point() returns table (name text, detail text, total bigint)
language sql stable set search_path = tallyrace, pg_temp as $$
  with followed as (
    select r.*, lag(r.to_at, 1, '-infinity') over (order by r.from_at) = r.from_at as follows
    from verified_ranges r, verified_point p where r.from_at < p.verified_until
  ), summed as (
    select coalesce(max(f.to_at), '-infinity') as reach,
           coalesce(bool_and(f.follows), true) as whole, count(*) as ranges,
           coalesce(sum(f.chain), 0) as chain from followed f
  ), streams_summed as (
    select s.stream, sum(s.posted) as posted, sum(s.refused) as refused, sum(s.offsets) as offsets,
           sum(s.squares) as squares
    from verified_ranges r cross join verified_point p cross join verify_range_streams(r.streams) s
    where r.from_at < p.verified_until group by s.stream
  )
  select 'verified_point', format('history is said to be verified until %s, but %s',
           p.verified_until, case when s.reach <> p.verified_until
             then format('proven stretches end at %s', s.reach)
             when not s.whole then 'proven stretches leave holes'
             else 'proven stretches add up to something else' end), 1::bigint
    from verified_point p cross join summed s
    where (s.reach, s.whole, s.ranges, s.chain) <> (p.verified_until, true, p.ranges, p.chain)
  union all
  select 'verified_point', format('stream %s: proven stretches add up to something else than '
           'is kept', coalesce(t.stream, s.stream)), count(*) over ()
    from verified_streams t full join streams_summed s on s.stream = t.stream
    where (t.posted, t.refused, t.offsets, t.squares)
      is distinct from (s.posted, s.refused, s.offsets, s.squares)
$$;

-- Every balance is where its chain of entries leads, and not below its floor. Takes: how all
-- entries lead from state to state; whether no broken chain is known that would explain a
-- difference. Gives: problems. A look at each account, at its last entry only where sums differ.
create or replace function verify_states(p_chain numeric, p_explain boolean) returns jsonb
language plpgsql stable set search_path = tallyrace, pg_temp set jit = off as $$
declare
  v_chain    numeric;
  v_below    bigint;
  v_problems jsonb := '[]';
begin
  select coalesce(sum(verify_state(b.account_key, b.sequence, b.balance)
                    - verify_state(b.account_key, 0, 0)), 0),
         count(*) filter (where b.balance < b.floor)
    into v_chain, v_below from balances b;
  if v_below > 0 then
    select jsonb_agg(jsonb_build_object('check', 'floor', 'total', v_below, 'detail',
             format('account %s tenant %s unit %s: balance %s is below its floor %s', f.account,
               f.tenant_id, f.unit, f.balance, f.floor)))
      into v_problems from (select * from balances where balance < floor limit 20) f;
  end if;
  if v_chain = p_chain then return v_problems; end if;
  v_problems := v_problems || (select coalesce(jsonb_agg(to_jsonb(f)), '[]')
    from verify_balances() f ("check", detail, total));
  if p_explain and not jsonb_path_exists(v_problems, '$[*] ? (@.check == "balance")') then
    v_problems := v_problems || jsonb_build_object('check', 'history', 'total', 1, 'detail',
      'balances are not where the verified history and what came since lead');
  end if;
  return v_problems;
end $$;
