// Other forms of the write itself: what the function does with the rows, and how they reach it.
import { type Call, type Variant, changing } from './variant.ts';

export const ours: Variant = { name: 'ours' };

const inFunction = 'returns text language plpgsql as $$';
const functionWith = (options: string) =>
  [inFunction, `returns text language plpgsql ${options} as $$`] as const;

/** Owns the tables, so policies are not evaluated for each row. */
export const definer = functionWith('security definer set search_path = tallyrace, pg_temp');

const legsEnd = 'e (account, event, amount, running, count);\n\n  return';

/** An account's legs meet the same page of the index one after the other. */
export const sortedLegs = [legsEnd, legsEnd.replace(';', ' order by e.account, e.count;')] as const;

const floatTime = ['o.accepted_ms / 1000.0', 'o.accepted_ms / 1e3::float8'] as const;

const joinedLegs = [
  /select a_key\[e\.account\][\s\S]*?e \(account, event, amount, running, count\);/,
  `select a.key, a.sequence - a.count + e.count, now(), e.amount, a.balance - a.delta + e.running,
         o_key[e.event], a.tenant
  from unnest(a_key, v_sequence, a_count, v_balance, a_delta, a_tenant) with ordinality
         a (key, sequence, count, balance, delta, tenant, n)
  join unnest(e_account, e_event, e_amount, e_running, e_count)
    e (account, event, amount, running, count) on e.account = a.n;`,
] as const;

/** Existing accounts by an update, new ones by an insert; the loop keeps the order of keys. */
const updateFirst = [
  /with posted as \([\s\S]*?from posted p;/,
  `with updated as (
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
  end if;`,
] as const;
const loops = functionWith('set enable_hashjoin = off set enable_mergejoin = off');

const sums = `select array_agg(p.balance order by p.account_key),
         array_agg(p.sequence order by p.account_key)`;

/** Outcomes, balances and entries by one statement instead of three. */
const oneStatement = [
  ['  insert into outcomes (', '  with outcome as (\n  insert into outcomes ('],
  [/;\s+if cardinality\(a_key\) = 0 then return ';'; end if;\s+with posted as/, '), posted as'],
  [
    /insert into entries \(account_key[\s\S]*?count\);\s+return array_to_string/,
    'return array_to_string',
  ],
  [
    /select array_agg\(p\.balance order[\s\S]*?from posted p;/,
    `, after as (${sums.replace('),', ') as balance,')} as sequence from posted p
  ), leg as (
    insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key,
                         tenant_id)
    select a_key[e.account], f.sequence[e.account] - a_count[e.account] + e.count, now(),
           e.amount, f.balance[e.account] - a_delta[e.account] + e.running, o_key[e.event],
           a_tenant[e.account]
    from after f, unnest(e_account, e_event, e_amount, e_running, e_count)
      e (account, event, amount, running, count)
  )
  select f.balance, f.sequence into v_balance, v_sequence from after f;`,
  ],
] as const;

export const statements: readonly Variant[] = [
  ours,
  { name: 'legs by account', replace: [sortedLegs] },
  { name: 'legs joined, not subscripted', replace: [joinedLegs] },
  { name: 'policies not per row (definer)', replace: [definer] },
  { name: 'accepted_at by float', replace: [floatTime] },
  { name: 'update, then insert', replace: [loops, updateFirst] },
  { name: 'one statement', replace: oneStatement },
  { name: 'generic plans', settings: { plan_cache_mode: 'force_generic_plan' } },
  { name: 'custom plans', settings: { plan_cache_mode: 'force_custom_plan' } },
  { name: 'by account, definer, float', replace: [sortedLegs, definer, floatTime] },
];

/** The server knows the types from the function: no text in between. */
const untyped = changing(({ statement, parameters }: Call) => ({
  statement: statement.replaceAll(/::text::[a-z]+\[\]/g, ''),
  parameters,
}));

/** One value where a column is the same in all rows. */
const squeezed = changing(({ statement, parameters }) => ({
  statement,
  parameters: parameters.map((literal, n) => (squeezable.includes(n) ? squeeze(literal) : literal)),
}));
/** Places of o_tenant, o_type, o_verdict, o_reason and o_accepted_ms. */
const squeezable = [21, 23, 25, 26, 29];

function squeeze(literal: string): string {
  const parts = literal.slice(1, -1).split(',');
  return parts.every((part) => part === parts[0]) ? `{${parts[0]}}` : literal;
}

const oneOrEach = (column: string): string =>
  `case when cardinality(o_${column}) = 1 then o_${column}[1] else o.${column} end`;
const squeezedColumns = [
  ['o.accepted_ms / 1000.0', `${oneOrEach('accepted_ms')} / 1e3::float8`],
  [
    'o.tenant, o.verdict, o.id, o.type, o.stream, nullif(o.reason,',
    `${oneOrEach('tenant')}, ${oneOrEach('verdict')}, o.id, ${oneOrEach('type')}, o.stream,
         nullif(${oneOrEach('reason')},`,
  ],
] as const;

/** All outcomes as one JSON document instead of eleven arrays. */
const asJson = changing(({ statement, parameters }) => {
  const at = (n: number): string[] => parameters[n]!.slice(1, -1).split(',');
  const columns = [20, 28, 24, 29, 21, 25, 22, 23, 27, 26].map(at);
  const bodies = at(30).map((body) => body.slice(4, -1));
  const rows = bodies.map((body, n) => [...columns.map((column) => column[n]), body]);
  const changed = [...parameters];
  changed[22] = `{${JSON.stringify(JSON.stringify(rows))}}`;
  for (const n of [21, 23, 24, 25, 26, 27, 28, 29, 30]) changed[n] = '{}';
  return { statement, parameters: changed };
});
const jsonColumns = [
  [
    /select o\.key, o\.stream_offset[\s\S]*?reason,\s+body\);/,
    `select (r ->> 0)::uuid, (r ->> 1)::bigint, (r ->> 2)::bigint,
         to_timestamp((r ->> 3)::float8 / 1e3), now(), (r ->> 4)::int, (r ->> 5)::smallint, r ->> 6,
         r ->> 7, r ->> 8, nullif(trim('"' from r ->> 9), ''), decode(r ->> 10, 'hex')
  from jsonb_array_elements(o_id[1]::jsonb) r;`,
  ],
] as const;

export const parameters: readonly Variant[] = [
  ours,
  { name: 'arrays without text between', write: untyped },
  { name: 'one value for a constant column', write: squeezed, replace: squeezedColumns },
  { name: 'outcomes as one JSON', write: asJson, replace: jsonColumns },
];

export const batches: readonly Variant[] = [2_000, 250, 500, 1_000, 4_000, 8_000].map(
  (batchEvents) => ({ name: `${batchEvents} events`, batchEvents }),
);
