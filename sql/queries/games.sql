-- Partners of games, counted for the metrics.

-- Gives: how many partners are active, of every tenant.
create or replace function system_active_partners() returns bigint
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select count(*) from documents d where d.kind = 'partners' and d.body ->> 'status' = 'active'
$$;
