-- What `tallyrace replay` reads: past events in the order in which they were settled, and what they
-- have done to each account.

-- Takes: the last row of the page before (null for the first), type ('' for all), how many.
-- Gives: recorded events, oldest first; within one batch in stream order.
create or replace function system_past_events(
  p_after timestamptz, p_after_key uuid, p_type text, p_limit int
) returns table (event_key uuid, tenant_id int, event_id text, type text, stream text,
                 stream_offset bigint, accepted_ms bigint, posted_at timestamptz, verdict smallint,
                 reason text, body bytea)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select o.event_key, o.tenant_id, o.event_id, o.type, o.stream, o.stream_offset,
         (extract(epoch from o.accepted_at) * 1000)::bigint, o.posted_at, o.verdict, o.reason,
         o.body
  from outcomes o
  where (p_after is null or (o.posted_at, o.stream, o.stream_offset) >
          (select n.posted_at, n.stream, n.stream_offset from outcomes n
           where n.event_key = p_after_key))
    and (p_type = '' or o.type = p_type)
  order by o.posted_at, o.stream, o.stream_offset limit p_limit
$$;

-- Takes: type ('' for all). Gives: per account the sum of what events of that type have posted.
create or replace function system_entry_sums(p_type text)
returns table (tenant_id int, account text, unit text, total bigint)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select b.tenant_id, b.account, b.unit, sum(e.amount)::bigint
  from entries e
  join balances b on b.account_key = e.account_key
  where p_type = '' or exists
    (select from outcomes o where o.event_key = e.event_key and o.type = p_type)
  group by b.tenant_id, b.account, b.unit
$$;
