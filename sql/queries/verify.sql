-- What `tallyrace verify` asks of the ledger: begin, then each stretch, then the present, then
-- finish. History that was proven is kept as sums (verified_ranges); the present is proven from
-- there in one snapshot, so it costs what has come since.
-- Invariant: the verified point moves over a stretch only in the call that found nothing in it.
drop function if exists system_verify();
drop function if exists verify_transactions();
drop function if exists verify_accounts();
drop function if exists verify_outcomes();

-- Shuts the time before which nothing is being posted any more. Takes: whether all of history is
-- to be looked at again; about how many entries a stretch should have. Gives: up to where history
-- is verified, and the stretches to look at: the new ones, and of the old ones all, or those that
-- were suspect and a share of the rest in turn. Safe to repeat: yes.
create or replace function system_verify_begin(
  p_full boolean, p_entries int, out verified_until text, out stretches jsonb
) language plpgsql security definer set search_path = tallyrace, pg_temp set timezone = 'UTC' as $$
declare
  p        verified_point;
  v_since  timestamptz;
begin
  -- A transaction that has been reading for long and written nothing is no write to the ledger.
  update verified_point v set shut_until = greatest(v.shut_until, least(now() - v.margin,
      (select min(a.xact_start) from pg_stat_activity a
       where a.datname = current_database() and a.pid <> pg_backend_pid()
         and a.backend_type = 'client backend'
         and (a.backend_xid is not null or a.xact_start > now() - interval '10 minutes'))))
    returning v.* into p;
  verified_until := p.verified_until;
  v_since := greatest(p.verified_until, verify_first_month());
  with sampled as (
    select date_trunc('second', e.posted_at) as second, count(*) * 100 as n
    from entries e tablesample system (1)
    where e.posted_at >= p.verified_until and e.posted_at < p.shut_until group by 1
  ), running as (
    select second, (sum(n) over (order by second) - n)::bigint / p_entries as part from sampled
  ), cuts as (
    select p.verified_until as cut
    union select min(second) from running where part > 0 group by part
    -- At months, so that a stretch is archived whole or not at all.
    union select generate_series(date_trunc('month', v_since), p.shut_until, '1 month')
      where v_since > '-infinity'
    union select p.shut_until
  ), fresh as (
    select cut as from_at, lead(cut) over (order by cut) as to_at, 0 as place from cuts
    where cut >= p.verified_until and cut <= p.shut_until
  ), kept as (
    select from_at, to_at, suspect, sum(entries + outcomes) over (order by suspect desc, checked_at,
             from_at) - entries - outcomes as before, sum(entries + outcomes) over () as whole
    from verified_ranges
  ), due as (
    select from_at, to_at, 1 as place from kept
    -- A week of hourly runs sees all of it; half a million rows take about a second.
    where p_full or suspect or before < greatest(whole / 168, 500000)
  )
  select coalesce(jsonb_agg(jsonb_build_object('from', s.from_at::text, 'to', s.to_at::text)
           order by s.place, s.from_at), '[]')
    into stretches
    from (select * from fresh where to_at > from_at union all select * from due) s;
end $$;

-- Proves one stretch of shut time. One that was proven before is compared with what it was; a new
-- one is kept where nothing is found, and the verified point moves as far as the kept ones reach.
-- Takes: bounds as system_verify_begin gave them. Gives: problems, rows looked at.
-- Raises: 22023 the time is not shut, so rows may still come. Safe to repeat: yes.
create or replace function system_verify_stretch(
  p_from timestamptz, p_to timestamptz, out problems jsonb, out looked_at bigint
) language plpgsql security definer set search_path = tallyrace, pg_temp set work_mem = '128MB'
set timezone = 'UTC' as $$
declare
  v_known  verified_ranges;
  v_found  verified_ranges;
  v        record;
  v_here   boolean;
begin
  -- It may have grown since it was listed, in this run or another.
  select * into v_known from verified_ranges r where r.from_at = p_from;
  p_to := coalesce(v_known.to_at, p_to);
  if p_to > (select p.shut_until from verified_point p) then
    raise exception 'rows may still come before %', p_to using errcode = '22023';
  end if;
  select * into v from verify_sums(p_from, p_to);
  v_found := v.sums;
  v_here := p_to > verify_entries_since();
  looked_at := v_found.outcomes + v_found.entries;
  problems := '[]';
  if v_known.from_at is not null then
    problems := verify_compared(v_known, v_found, v_here);
  end if;
  if v_known.from_at is null and p_to <= verify_first_month() and v_found.outcomes > 0 then
    problems := problems || jsonb_build_object('check', 'archived', 'total', v_found.outcomes,
      'detail', format('entries of %s outcomes posted before %s were detached before they were '
        'proven', v_found.outcomes, p_to));
  end if;
  if v_here then
    problems := problems
      || verify_broken(p_from, p_to, v.tilts, v_known.from_at is null or problems <> '[]');
  end if;
  if v_known.from_at is not null then
    update verified_ranges r set checked_at = clock_timestamp(), suspect = problems <> '[]'
      where r.from_at = p_from;
  elsif problems = '[]' then
    perform verify_keep(v_found);
  end if;
end $$;

-- The present, in one snapshot: what has come since the verified point, the streams, and every
-- balance against all of history. Gives: the streams' counters, problems.
create or replace function system_verify_present(out streams jsonb, out problems jsonb)
language plpgsql stable security definer set search_path = tallyrace, pg_temp
set work_mem = '128MB' set timezone = 'UTC' as $$
declare
  v_point   verified_point;
  v_fresh   verified_ranges;
  v         record;
begin
  select * into v_point from verified_point;
  select jsonb_agg(to_jsonb(s) order by s.stream) into streams from streams s;
  select * into v from verify_sums(v_point.verified_until, 'infinity');
  v_fresh := v.sums;
  problems := verify_broken(v_point.verified_until, 'infinity', v.tilts, true);
  problems := problems || verify_states(v_point.chain + v_fresh.chain, problems = '[]');
  problems := problems || (
    select coalesce(jsonb_agg(to_jsonb(f)), '[]') from (
      select * from verify_point() union all select * from verify_streams(v_fresh.streams)
    ) f ("check", detail, total));
end $$;

-- Keeps what was found, for doctors and metrics. Takes: how many problems, what was looked at, how
-- long it took. Moves nothing.
create or replace function system_verify_finish(p_problems int, p_scope text, p_seconds float8)
returns void language sql security definer set search_path = tallyrace, pg_temp as $$
  update verified_point set finished_at = now(), problems = p_problems, scope = p_scope,
    seconds = p_seconds, clean_at = case when p_problems = 0 then now() else clean_at end
$$;

-- Gives: up to where history is proven, RFC 3339; when it was last verified and when with nothing
-- found, in seconds since 1970; problems found the last time. Null: never.
create or replace function system_verify_state(
  out verified_until text, out finished_s float8, out clean_s float8, out problems int
) language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select case when isfinite(v.verified_until) then
           to_char(v.verified_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end,
         extract(epoch from v.finished_at)::float8, extract(epoch from v.clean_at)::float8,
         v.problems
  from verified_point v
$$;

-- Takes: seconds between periodic verifications. Gives: whether the caller is to verify now; of
-- several that ask one is. Locks: the point, for a moment.
create or replace function system_verify_turn(p_every_s int) returns boolean
language sql security definer set search_path = tallyrace, pg_temp as $$
  with taken as (
    update verified_point set begun_at = now()
    where begun_at < now() - make_interval(secs => p_every_s) returning true
  )
  select exists (select from taken)
$$;
