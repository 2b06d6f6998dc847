-- How verification accounts for every offset of every stream, from 1 to where it is settled.

-- What is placed at offsets of streams beside outcomes. Gives: stream, the first offset, how many,
-- and 1, or -1 for offsets that Redis gave out twice.
create or replace function verify_places()
returns table (stream text, kind text, first_offset bigint, events bigint, weight int)
language sql stable set search_path = tallyrace, pg_temp as $$
  select c.stream, 'refused', c.stream_offset, 1, 1 from conflicts c
  union all
  select d.stream, 'dead', d.stream_offset, d.events, 1 from dead_letters d
    where d.status <> 'retried'
  union all
  select d.stream, 'deferred', d.stream_offset, 1, 1 from deferred d
  union all
  select r.stream, r.kind, r.first_offset, r.last_offset - r.first_offset + 1,
         case r.kind when 'renumbered' then -1 else 1 end
    from offset_runs r
$$;

-- Gives: how many lost events of a stream an operator has looked at.
create or replace function verify_acknowledged(p_stream text) returns bigint
language sql stable set search_path = tallyrace, pg_temp as $$
  select coalesce(max(a.lost), 0) from lost_acknowledged a where a.stream = p_stream
$$;

-- Records that an operator has looked at what the streams have lost so far.
-- Takes: who, and why it is well. Gives: what is newly acknowledged, by stream; nothing where all
-- of it was. Locks: the streams' rows in their order, against a batch that counts more meanwhile.
create or replace function system_verify_acknowledge(p_actor text, p_reason text)
returns table (stream text, events bigint, positions jsonb)
language plpgsql security definer set search_path = tallyrace, pg_temp as $$
begin
  perform from streams s where s.lost > 0 order by s.stream for no key update;
  return query
    insert into lost_acknowledged as a (stream, lost, events, positions, actor, reason)
    select s.stream, s.lost, s.lost - verify_acknowledged(s.stream),
           (select coalesce(jsonb_agg(jsonb_build_array(r.first_offset, r.last_offset)
                                      order by r.first_offset), '[]')
            from offset_runs r
            where r.stream = s.stream and r.kind = 'lost' and r.first_offset > coalesce((
              select max((p ->> 1)::bigint)
              from lost_acknowledged b, jsonb_array_elements(b.positions) p
              where b.stream = s.stream), 0)),
           p_actor, p_reason
    from streams s where s.lost > verify_acknowledged(s.stream) order by s.stream
    returning a.stream, a.events, a.positions;
end $$;

-- Gives: how many lost events have been acknowledged, of all streams.
create or replace function system_verify_acknowledged() returns bigint
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select coalesce(sum(a.events), 0)::bigint from lost_acknowledged a
$$;

-- Per stream: its counters add up, equal the rows they count, and every offset has one place.
-- Takes: what the outcomes since the verified point add up to, by stream (see verify_outcome_sums);
-- those before it are in verified_streams. Offsets are compared by their sum and the sum of their
-- squares; only where these differ are they looked at one by one. Repeats and losses from before
-- there were runs cannot be placed: then counts have to do.
drop function if exists verify_streams();
create or replace function verify_streams(p_outcomes jsonb)
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp set jit = off as $$
declare
  c record;
begin
  for c in
    with beside as (
      select p.stream,
             sum(p.events) filter (where p.kind = 'refused') as refused,
             sum(p.events) filter (where p.kind = 'dead') as dead,
             sum(p.events) filter (where p.kind = 'deferred') as deferred,
             sum(p.events) filter (where p.kind in ('duplicate', 'lost')) as passed,
             sum(p.events) filter (where p.kind = 'renumbered') as renumbered,
             sum(p.weight * (p.events * p.first_offset + p.events * (p.events - 1) / 2)) as offsets,
             sum(p.weight * (p.events * p.first_offset::numeric * p.first_offset
               + p.first_offset * p.events::numeric * (p.events - 1)
               + (p.events - 1) * p.events::numeric * (2 * p.events - 1) / 6)) as squares
      from verify_places() p group by p.stream
    ), fresh as (
      select f.key as stream, (f.value ->> 'posted')::bigint as posted,
             (f.value ->> 'refused')::bigint as refused,
             (f.value ->> 'offsets')::numeric as offsets,
             (f.value ->> 'squares')::numeric as squares
      from jsonb_each(p_outcomes) f
    )
    select s.*, coalesce(v.posted, 0) + coalesce(f.posted, 0) as posted_rows,
           coalesce(v.refused, 0) + coalesce(f.refused, 0) + coalesce(b.refused, 0)
             as refused_rows,
           coalesce(b.dead, 0) as dead_rows, coalesce(b.deferred, 0) as deferred_rows,
           s.duplicate + s.lost = coalesce(b.passed, 0)
             and s.renumbered = coalesce(b.renumbered, 0) as is_placed,
           s.lost - verify_acknowledged(s.stream) as told,
           coalesce(v.offsets, 0) + coalesce(f.offsets, 0) + coalesce(b.offsets, 0) as offsets,
           coalesce(v.squares, 0) + coalesce(f.squares, 0) + coalesce(b.squares, 0) as squares
    from streams s left join beside b on b.stream = s.stream
      left join verified_streams v on v.stream = s.stream left join fresh f on f.stream = s.stream
    order by s.stream
  loop
    if c.settled <> c.posted + c.refused + c.dead + c.duplicate + c.deferred + c.lost
                    - c.renumbered then
      return query select 'accounting', format('stream %s: settled %s, but posted %s + refused %s '
        '+ dead %s + duplicate %s + deferred %s + lost %s - renumbered %s is something else',
        c.stream, c.settled, c.posted, c.refused, c.dead, c.duplicate, c.deferred, c.lost,
        c.renumbered), 1::bigint;
    end if;
    if (c.posted, c.refused, c.dead, c.deferred)
       <> (c.posted_rows, c.refused_rows, c.dead_rows, c.deferred_rows) then
      return query select 'accounting', format('stream %s: counted posted %s refused %s dead %s '
        'deferred %s, but there are rows for %s, %s, %s, %s', c.stream, c.posted, c.refused,
        c.dead, c.deferred, c.posted_rows, c.refused_rows, c.dead_rows, c.deferred_rows), 1::bigint;
    end if;
    if c.told > 0 then
      return query select 'lost', format('stream %s: Redis lost %s accepted events', c.stream,
        c.told), 1::bigint;
    end if;
    if c.is_placed and (c.offsets <> c.settled::numeric * (c.settled + 1) / 2
        or c.squares <> c.settled::numeric * (c.settled + 1) * (2 * c.settled + 1) / 6) then
      return query select * from verify_offsets(c.stream, c.settled);
    end if;
  end loop;
end $$;

-- Whether all that a stream counts as repeats, losses and renumbered has a run: not so of what was
-- settled before there were runs.
create or replace function verify_is_placed(p_stream streams) returns boolean
language sql stable set search_path = tallyrace, pg_temp as $$
  select p_stream.duplicate + p_stream.lost + p_stream.renumbered
    = coalesce(sum(r.last_offset - r.first_offset + 1), 0)
  from offset_runs r where r.stream = p_stream.stream
$$;

-- Names offsets of a stream without a place, and those with more than one. Looks at all outcomes,
-- since nothing but a problem leads here.
create or replace function verify_offsets(p_stream text, p_settled bigint)
returns table (name text, detail text, total bigint)
language plpgsql stable set search_path = tallyrace, pg_temp set jit = off as $$
begin
  return query
    with placed as (
      select o.stream_offset as first, o.stream_offset as last from outcomes o
        where o.stream = p_stream
      union all
      select p.first_offset, p.first_offset + p.events - 1 from verify_places() p
        where p.stream = p_stream and p.weight = 1
      union all
      select p_settled + 1, p_settled + 1
    ), reached as (
      select p.first, p.last, coalesce(max(p.last) over (order by p.first, p.last
               rows between unbounded preceding and 1 preceding), 0) as reach
      from placed p
    )
    (select 'offset', format('stream %s: %s of no outcome, conflict, dead letter, deferral, repeat '
              'or loss', p_stream, case r.first - r.reach when 2 then format('offset %s is',
              r.reach + 1) else format('offsets %s to %s are', r.reach + 1, r.first - 1) end),
            count(*) over ()
       from reached r where r.first > r.reach + 1 order by r.first limit 20)
    union all
    (select 'offset', format('stream %s: offset %s is of more than one event%s', p_stream, r.first,
              (select ': ' || string_agg(o.event_id, ', ' order by o.event_id) from outcomes o
               where o.stream = p_stream and o.stream_offset = r.first)), count(*) over ()
       from reached r
       where r.first <= r.reach and r.first <= p_settled and not exists
         (select from offset_runs n where n.stream = p_stream and n.kind = 'renumbered'
            and r.first between n.first_offset and n.last_offset)
       order by r.first limit 20)
    union all
    (select 'offset', format('stream %s: offset %s lies beyond what is settled', p_stream, r.last),
            count(*) over ()
       from reached r where r.last > p_settled + 1 order by r.last limit 20);
end $$;

-- The last of the files on verification: what they have is for system_verify_… to call.
do $$ begin
  revoke execute on function verify_sums, verify_broken, verify_compared, verify_keep, verify_point,
    verify_range_streams, verify_joined, verify_first_month, verify_entries_since, verify_states,
    verify_streams(jsonb), verify_is_placed, verify_offsets, verify_places, verify_balances,
    verify_bare, verify_orphans, verify_chains_hold, verify_chain,
    verify_transactions(timestamptz, timestamptz),
    verify_entry_sums, verify_outcome_sums from public;
end $$;
