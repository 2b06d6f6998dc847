-- Leases, progress, and the small queues that the worker polls. Streams belong to no tenant; the
-- functions that must look across tenants say so by their name.

-- Takes: worker, its instance, lease in ms, whether it is just starting, the streams that it takes,
-- which are made where they are missing. Gives: whether this instance is still the current one, who
-- is alive, and each of the streams with the live workers that take it.
drop function if exists lease_renew;
create function lease_renew(
  p_worker text, p_instance uuid, p_lease_ms int, p_starting boolean, p_streams text[],
  out current boolean, out alive text[], out streams jsonb
) language plpgsql as $$
begin
  if p_starting then
    insert into workers as w (worker, instance, lease_until, streams)
      values (p_worker, p_instance, now() + make_interval(secs => p_lease_ms / 1000.0), p_streams)
      on conflict (worker) do update
        set instance = excluded.instance, lease_until = excluded.lease_until, started_at = now(),
            streams = excluded.streams;
    insert into streams (stream) select unnest(p_streams) on conflict do nothing;
    current := true;
  else
    update workers set lease_until = now() + make_interval(secs => p_lease_ms / 1000.0)
      where worker = p_worker and instance = p_instance;
    current := found;
  end if;
  select array_agg(w.worker order by w.worker) into alive
    from workers w where w.lease_until > now();
  select jsonb_agg(jsonb_build_object('stream', s.stream, 'owner', s.owner,
           'epoch', s.epoch::text, 'settled', s.settled, 'takers', coalesce(
             (select jsonb_agg(w.worker order by w.worker) from workers w
              where w.lease_until > now() and (w.streams is null or s.stream = any (w.streams))),
             '[]'))) into streams
    from streams s where s.stream = any (p_streams);
end $$;

-- Takes a stream over, unless its owner is alive and takes it. Gives: the new epoch and the settled
-- offset, or no row. Locks: the stream's row; waits for a write of the old owner, which has then
-- committed.
drop function if exists lease_acquire;
create function lease_acquire(p_stream text, p_worker text)
returns table (epoch text, settled bigint) language sql as $$
  update streams s set owner = p_worker, epoch = s.epoch + 1
  where s.stream = p_stream
    and (s.owner is null or s.owner = p_worker or not exists
      (select from workers w where w.worker = s.owner and w.lease_until > now()
         and (w.streams is null or s.stream = any (w.streams))))
  returning s.epoch::text, s.settled
$$;

-- Gives streams back. Safe to repeat: only under the epoch that was held.
create or replace function lease_release(p_streams text[], p_epochs bigint[]) returns void
language sql as $$
  update streams s set owner = null
  from unnest(p_streams, p_epochs) r (stream, epoch)
  where s.stream = r.stream and s.epoch = r.epoch
$$;

-- Takes: a worker that stops. Safe to repeat: a newer instance of its name stays.
create or replace function worker_gone(p_worker text, p_instance uuid) returns void
language sql as $$
  delete from workers where worker = p_worker and instance = p_instance
$$;

-- Deferred events of these streams whose time has come, of every tenant.
create or replace function system_deferred_due(p_streams text[], p_limit int)
returns table (tenant_id int, event_id text, type text, stream text, stream_offset bigint,
               attempts int, accepted_ms bigint, body bytea)
language sql security definer set search_path = tallyrace, pg_temp as $$
  select d.tenant_id, d.event_id, d.type, d.stream, d.stream_offset, d.attempts,
         (extract(epoch from d.accepted_at) * 1000)::bigint, d.body
  from deferred d where d.stream = any (p_streams) and d.retry_at <= now()
  order by d.retry_at limit p_limit
$$;

-- Follow-ups that wait for their stream, oldest first, of every tenant.
create or replace function system_outbox(p_limit int)
returns table (id bigint, tenant_id int, event_id text, type text, accepted_ms bigint,
               traceparent text, data jsonb)
language sql security definer set search_path = tallyrace, pg_temp as $$
  select o.id, o.tenant_id, o.event_id, o.type, (extract(epoch from o.accepted_at) * 1000)::bigint,
         o.traceparent, o.data
  from outbox o order by o.id limit p_limit
$$;

-- Takes: ids whose events Redis has. Safe to repeat: yes.
create or replace function system_outbox_relayed(p_ids bigint[]) returns void
language sql security definer set search_path = tallyrace, pg_temp as $$
  delete from outbox where id = any (p_ids)
$$;
