-- What became of events whose positions are settled.

-- Takes: tenant; event keys with the stream and offset each was accepted at. Gives: a row for each,
-- in order: posted, refused, deferred, dead, conflict (another body under the same id came first),
-- or unknown; where the event that stands under the id was accepted; of a conflict the fields that
-- differ.
drop function if exists event_outcomes(int, uuid[], text[], bigint[]);
create function event_outcomes(p_tenant int, p_keys uuid[], p_streams text[], p_offsets bigint[])
returns table (verdict text, reason text, first_stream text, first_offset bigint, fields jsonb)
language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select case
             when c.fields is not null then 'conflict'
             when o.verdict = 1 then 'posted'
             when o.verdict = 2 then 'refused'
             when d.event_key is not null then 'deferred'
             when x.event_key is not null then 'dead'
             else 'unknown'
           end,
           coalesce(o.reason, d.reason, x.reason), o.stream, o.stream_offset,
           to_jsonb(c.fields)
    from unnest(p_keys, p_streams, p_offsets) with ordinality a (key, stream, stream_offset, i)
    left join outcomes o on o.event_key = a.key and o.tenant_id = p_tenant
    left join lateral (select l.fields from conflicts l
                       where l.event_key = a.key and l.tenant_id = p_tenant
                         and l.stream = a.stream and l.stream_offset = a.stream_offset
                       limit 1) c on true
    left join deferred d on d.event_key = a.key and d.tenant_id = p_tenant
    left join lateral (select l.event_key, l.reason from dead_letters l
                       where l.event_key = a.key and l.tenant_id = p_tenant
                       order by l.died_at desc limit 1) x on true
    order by a.i;
end $$;

-- Takes: tenant, event keys. Gives: the events that stand under them, as far as they are settled.
drop function if exists event_bodies(int, uuid[]);
create function event_bodies(p_tenant int, p_keys uuid[])
returns table (event_id text, type text, body bytea) language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select o.event_id, o.type, o.body from outcomes o
    where o.event_key = any (p_keys) and o.tenant_id = p_tenant;
end $$;
