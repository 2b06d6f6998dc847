-- Dead letters for the operator, who serves every tenant.

-- Takes: status ('' for any), died before (a page's last), how many. Gives: newest first.
create or replace function system_dead_letters(p_status text, p_before timestamptz, p_limit int)
returns table (id uuid, tenant text, event_id text, type text, stream text, stream_offset bigint,
               events int, reason text, detail text, attempts int, status text,
               accepted_at timestamptz, died_at timestamptz)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select d.id, coalesce(t.name, '?'), d.event_id, d.type, d.stream, d.stream_offset, d.events,
         d.reason, d.detail, d.attempts, d.status, d.accepted_at, d.died_at
  from dead_letters d left join tenants t on t.id = d.tenant_id
  where (p_status = '' or d.status = p_status) and d.died_at < p_before
  order by d.died_at desc limit p_limit
$$;

-- Takes: an id. Gives: all of one dead letter, its bytes too.
create or replace function system_dead_letter(p_id uuid)
returns table (id uuid, tenant text, event_id text, type text, stream text, stream_offset bigint,
               events int, reason text, detail text, attempts int, status text,
               accepted_at timestamptz, died_at timestamptz, changed_at timestamptz, body bytea)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select d.id, coalesce(t.name, '?'), d.event_id, d.type, d.stream, d.stream_offset, d.events,
         d.reason, d.detail, d.attempts, d.status, d.accepted_at, d.died_at, d.changed_at, d.body
  from dead_letters d left join tenants t on t.id = d.tenant_id where d.id = p_id
$$;

-- Sends dead letters round again, through the deferred events. What could not be decoded is left.
-- Takes: ids (null: all that are dead), who asks. Gives: how many went. Locks: their rows and their
-- streams' rows. Safe to repeat: a letter that has gone is not dead any more.
create or replace function system_dead_letters_retry(p_ids uuid[], p_actor text) returns int
language plpgsql security definer set search_path = tallyrace, pg_temp as $$
declare v_count int;
begin
  with sent as (
    update dead_letters d set status = 'retried', changed_at = now()
    where d.status = 'dead' and d.reason <> 'undecodable' and (p_ids is null or d.id = any (p_ids))
    returning d.*
  ), queued as (
    insert into deferred (event_key, tenant_id, event_id, type, stream, stream_offset, reason,
                          attempts, retry_at, accepted_at, body)
    select event_key, tenant_id, event_id, type, stream, stream_offset, 'retried', 1, now(),
           accepted_at, body from sent
  ), counted as (
    update streams s set dead = s.dead - c.n, deferred = s.deferred + c.n
    from (select stream, count(*) as n from sent group by stream order by stream) c
    where s.stream = c.stream
  ), audited as (
    insert into audit_log (tenant_id, actor, action, subject)
    select tenant_id, p_actor, 'dead_letter.retry', event_id from sent where tenant_id <> 0
  )
  select count(*) into v_count from sent;
  return v_count;
end $$;

-- Gives a dead letter up for good; it stays on record and stays counted as dead.
create or replace function system_dead_letters_discard(p_ids uuid[], p_actor text) returns int
language plpgsql security definer set search_path = tallyrace, pg_temp as $$
declare v_count int;
begin
  with given_up as (
    update dead_letters d set status = 'discarded', changed_at = now()
    where d.status = 'dead' and (p_ids is null or d.id = any (p_ids))
    returning d.tenant_id, d.event_id
  ), audited as (
    insert into audit_log (tenant_id, actor, action, subject)
    select tenant_id, p_actor, 'dead_letter.discard', event_id from given_up where tenant_id <> 0
  )
  select count(*) into v_count from given_up;
  return v_count;
end $$;

-- For the metrics. Gives: how many dead letters nobody has retried or discarded.
create or replace function system_dead_letter_count() returns bigint
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select count(*) from dead_letters where status = 'dead'
$$;
