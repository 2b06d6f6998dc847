-- Reads of balances and entries.

-- Takes: tenant, account name. Gives: its balance in each unit, or no row.
drop function if exists account_balances(int, text);
create function account_balances(p_tenant int, p_account text)
returns table (unit text, balance bigint, sequence bigint, floor bigint)
language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select b.unit, b.balance, b.sequence, b.floor from balances b
    where b.account = p_account and b.tenant_id = p_tenant order by b.unit;
end $$;

-- Takes: tenant, account key, only entries before this sequence, how many. Gives: entries, newest
-- first; an index range scan, the id and type of the event by its key.
drop function if exists account_entries(int, uuid, bigint, int);
create function account_entries(p_tenant int, p_key uuid, p_before bigint, p_limit int)
returns table (sequence bigint, posted_at timestamptz, amount bigint, balance_after bigint,
               event_key uuid, event_id text, event_type text)
language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query
    select e.sequence, e.posted_at, e.amount, e.balance_after, e.event_key, o.event_id, o.type
    from (select * from entries x
          where x.account_key = p_key and x.tenant_id = p_tenant and x.sequence < p_before
          order by x.sequence desc limit p_limit) e
    left join outcomes o on o.event_key = e.event_key
    order by e.sequence desc;
end $$;

-- The journey of one event. Takes: tenant, event key. Gives: one row of JSON, null where nothing is
-- known: the outcome with its entries (found by the time of posting, over a BRIN index), what is
-- dead or deferred, and refused bodies of the same id.
drop function if exists event_journey(int, uuid);
create function event_journey(p_tenant int, p_key uuid)
returns table (outcome jsonb, entries jsonb, dead jsonb, deferred jsonb, conflicts jsonb)
language plpgsql as $$
declare v_outcome outcomes;
begin
  perform set_tenants(array[p_tenant]);
  select * into v_outcome from outcomes o where o.event_key = p_key and o.tenant_id = p_tenant;
  if found then
    outcome := jsonb_build_object('verdict', v_outcome.verdict, 'reason', v_outcome.reason,
      'type', v_outcome.type, 'accepted_at', v_outcome.accepted_at,
      'posted_at', v_outcome.posted_at, 'stream', v_outcome.stream,
      'offset', v_outcome.stream_offset);
    select jsonb_agg(jsonb_build_object('account', b.account, 'unit', b.unit, 'amount', e.amount,
             'sequence', e.sequence, 'balance_after', e.balance_after)
             order by b.account, e.sequence)
      into entries
      from entries e join balances b on b.account_key = e.account_key
      where e.posted_at = v_outcome.posted_at and e.event_key = p_key;
  end if;
  select jsonb_agg(jsonb_build_object('id', d.id, 'type', d.type, 'reason', d.reason,
           'detail', d.detail, 'status', d.status, 'accepted_at', d.accepted_at,
           'died_at', d.died_at, 'stream', d.stream, 'offset', d.stream_offset) order by d.died_at)
    into dead from dead_letters d where d.event_key = p_key and d.tenant_id = p_tenant;
  select jsonb_agg(jsonb_build_object('type', d.type, 'reason', d.reason, 'attempts', d.attempts,
           'retry_at', d.retry_at, 'accepted_at', d.accepted_at, 'stream', d.stream,
           'offset', d.stream_offset))
    into deferred from deferred d where d.event_key = p_key and d.tenant_id = p_tenant;
  select jsonb_agg(jsonb_build_object('at', c.at, 'fields', c.fields, 'type', c.type) order by c.at)
    into conflicts from conflicts c where c.event_key = p_key and c.tenant_id = p_tenant;
  return next;
end $$;
