// The variants, by the question that they answer.
import type { Variant } from './variant.ts';
import { changing } from './variant.ts';

const ours: Variant = { name: 'ours' };

const upsert = /with posted as \([\s\S]*?from posted p;/;

/** Existing accounts by update, new ones by insert; key order by the nested loop. */
const updateThenInsert = `with given as (
    select * from unnest(a_key, a_delta, a_count) a (key, delta, count)
  ), updated as (
    update balances b set balance = b.balance + a.delta, sequence = b.sequence + a.count
    from unnest(a_key, a_delta, a_count) a (key, delta, count)
    where b.account_key = a.key
    returning b.account_key, b.balance, b.sequence
  )
  select array_agg(p.balance order by p.account_key), array_agg(p.sequence order by p.account_key)
    into v_balance, v_sequence from updated p;
  if coalesce(cardinality(v_balance), 0) < cardinality(a_key) then
    insert into balances as b (account_key, balance, sequence, floor, tenant_id, account, unit)
    select a.key, a.delta, a.count, a.floor, a.tenant, a.account, a.unit
    from unnest(a_key, a_delta, a_count, a_floor, a_tenant, a_account, a_unit)
      a (key, delta, count, floor, tenant, account, unit)
    where not exists (select from balances e where e.account_key = a.key)
    on conflict (account_key) do update
      set balance = b.balance + excluded.balance, sequence = b.sequence + excluded.sequence;
    select array_agg(b.balance order by b.account_key), array_agg(b.sequence order by b.account_key)
      into v_balance, v_sequence
      from unnest(a_key) a (key) join balances b on b.account_key = a.key;
  end if;`.replace(/with given[\s\S]*?\), updated/, 'with updated');

const nested = [
  'returns text language plpgsql as $$',
  `returns text language plpgsql
  set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$`,
] as const;

const definer = [
  'returns text language plpgsql as $$',
  `returns text language plpgsql
  security definer set search_path = tallyrace, pg_temp as $$`,
] as const;

const entriesFrom = '    e (account, event, amount, running, count);\n\n  return';
const sortedEntries = [
  entriesFrom,
  entriesFrom.replace(';\n', '\n  order by e.account, e.count;\n'),
] as const;

const list = (literal: string): string[] => literal.slice(1, -1).split(',');

/** The legs in the order of account and sequence, as the client could send them. */
const legsByAccount = changing(({ statement, parameters }) => {
  const legs = parameters.slice(31, 36).map(list);
  const order = legs[0]!
    .map((_, n) => n)
    .sort(
      (a, b) =>
        Number(legs[0]![a]) - Number(legs[0]![b]) || Number(legs[4]![a]) - Number(legs[4]![b]),
    );
  const sorted = legs.map((column) => `{${order.map((n) => column[n]).join(',')}}`);
  return {
    statement,
    parameters: [...parameters.slice(0, 31), ...sorted, ...parameters.slice(36)],
  };
});

function outcomePartitions(count: number): string {
  return `do $$ begin
    for i in 0..7 loop execute format('drop table outcomes_%s', i); end loop;
    for i in 0..${count - 1} loop
      execute format('create table outcomes_%s partition of outcomes
         for values with (modulus ${count}, remainder %s)', i, i);
      execute format('call protect(%L)', 'outcomes_' || i);
    end loop;
  end $$`;
}

const floatTime = [
  'to_timestamp(o.accepted_ms / 1000.0)',
  'to_timestamp(o.accepted_ms / 1e3::float8)',
] as const;

/** One element where all are the same. */
const squeezed = changing(({ statement, parameters }) => {
  const squeeze = (literal: string): string => {
    const parts = list(literal);
    return parts.every((part) => part === parts[0]) ? `{${parts[0]}}` : literal;
  };
  const at = [21, 23, 25, 26, 29];
  return { statement, parameters: parameters.map((p, n) => (at.includes(n) ? squeeze(p) : p)) };
});
/** Where a column is the same in every row, one value stands for all. */
const same = (array: string, column: string): string =>
  `case when cardinality(${array}) = 1 then ${array}[1] else o.${column} end`;
const outcomesSqueezed = [
  [
    'to_timestamp(o.accepted_ms / 1000.0), now(),',
    `to_timestamp(${same('o_accepted_ms', 'accepted_ms')} / 1e3::float8), now(),`,
  ],
  [
    'o.tenant, o.verdict, o.id, o.type, o.stream, nullif(o.reason,',
    `${same('o_tenant', 'tenant')}, ${same('o_verdict', 'verdict')}, o.id, ${same('o_type', 'type')}, o.stream, nullif(${same('o_reason', 'reason')},`,
  ],
] as const;

/** The account's columns by a join instead of seven subscripts a leg. */
const joined = [
  /select a_key\[e\.account\][\s\S]*?e \(account, event, amount, running, count\);/,
  `
  select a.key, a.sequence - a.count + e.count, now(), e.amount, a.balance - a.delta + e.running,
         o_key[e.event], a.tenant
  from unnest(a_key, v_sequence, a_count, v_balance, a_delta, a_tenant) with ordinality
         a (key, sequence, count, balance, delta, tenant, n)
  join unnest(e_account, e_event, e_amount, e_running, e_count)
    e (account, event, amount, running, count) on e.account = a.n;`,
] as const;

/** Bases made once an account, so that a leg has four subscripts and two additions. */
const bases = [
  /  insert into entries[\s\S]*?e \(account, event, amount, running, count\);/,
  `
  select array_agg(c.balance - c.delta), array_agg(c.sequence - c.count)
    into v_balance_base, v_sequence_base
    from unnest(v_balance, a_delta, v_sequence, a_count) c (balance, delta, sequence, count);
  insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key,
                       tenant_id)
  select a_key[e.account], v_sequence_base[e.account] + e.count, now(), e.amount,
         v_balance_base[e.account] + e.running, o_key[e.event], a_tenant[e.account]
  from unnest(e_account, e_event, e_amount, e_running, e_count)
    e (account, event, amount, running, count);`,
] as const;
const baseVariables = [
  '  v_sequence bigint[];',
  '  v_sequence bigint[];\n  v_balance_base bigint[];\n  v_sequence_base bigint[];',
] as const;

export const groups: Record<string, readonly Variant[]> = {
  columns: [
    ours,
    { name: 'float time', replace: [floatTime] },
    { name: 'outcomes squeezed', replace: [...outcomesSqueezed], write: squeezed },
    { name: 'joined', replace: [joined] },
    { name: 'bases', replace: [baseVariables, bases] },
    { name: 'definer', replace: [definer] },
    { name: 'sorted', replace: [sortedEntries] },
    { name: 'definer, sorted, float', replace: [definer, sortedEntries, floatTime] },
    {
      name: 'definer, sorted, float, update',
      replace: [definer, sortedEntries, floatTime, [upsert, updateThenInsert]],
    },
  ],
  rows: [
    ours,
    { name: 'ours again' },
    { name: 'as owner: no policies', asOwner: true },
    {
      name: 'no checks',
      schema: `
      alter table outcomes drop constraint refused_has_a_reason;
      alter table outcomes drop constraint outcomes_verdict_check;
      alter table balances drop constraint balance_in_range`,
    },
    { name: 'no BRIN', schema: 'drop index entries_by_time' },
    { name: 'entries without key', schema: 'alter table entries drop constraint entries_pkey' },
    { name: 'outcomes without key', schema: 'alter table outcomes drop constraint outcomes_pkey' },
  ],
  write: [
    ours,
    { name: 'update, then insert', replace: [[upsert, updateThenInsert], nested] },
    { name: 'nested only', replace: [nested] },
    { name: 'definer', replace: [definer] },
    { name: 'entries sorted by server', replace: [sortedEntries] },
    { name: 'entries sorted by client', write: legsByAccount },
    { name: 'generic plans', settings: { plan_cache_mode: 'force_generic_plan' } },
    { name: 'custom plans', settings: { plan_cache_mode: 'force_custom_plan' } },
    { name: 'outcomes in 1', schema: outcomePartitions(1) },
    { name: 'outcomes in 16', schema: outcomePartitions(16) },
  ],
};
