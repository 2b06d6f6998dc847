// Other forms of the write itself: what the function does with the rows, and how they reach it.
// Where ours is the one that won, the variant puts back what it was before.
import { type Variant, changing } from './variant.ts';

export const ours: Variant = { name: 'ours' };

const legsUnsorted = ['\n  order by e.account, e.count;', ';'] as const;

const legsSubscripted = [
  /select a\.key, a\.sequence[\s\S]*?order by e\.account, e\.count;/,
  `select a_key[e.account], v_sequence[e.account] - a_count[e.account] + e.count, v_posted,
         e.amount,
         v_balance[e.account] - a_delta[e.account] + e.running, o_key[e.event], a_tenant[e.account]
  from (select unnest(e_account) as account, unnest(e_event) as event, unnest(e_amount) as amount,
               unnest(e_running) as running, unnest(e_count) as count) e;`,
] as const;

/** The application's own rights, so that policies are evaluated for each row. */
const invoker = [' security definer set search_path = tallyrace, pg_temp', ''] as const;
const rights = `grant insert on outcomes, entries to tallyrace_app;
  grant insert, update on balances to tallyrace_app`;

const numericTime = ['o.accepted_ms / 1e3::float8', 'o.accepted_ms / 1000.0'] as const;

/** Each column is first copied, row by row, into a table of the function's result. */
const unnestInFrom = [
  /from \(select unnest\(o_key\)[\s\S]*?\) o;/,
  `from unnest(o_key, o_offset, o_fingerprint, o_accepted_ms, o_tenant, o_id, o_type, o_stream,
              o_reason, o_body_start, o_body_length)
    o (key, stream_offset, fingerprint, accepted_ms, tenant, id, type, stream, reason, body_start,
       body_length);`,
] as const;

const planner = (hash: 'on' | 'off') =>
  `perform set_config('enable_hashjoin', '${hash}', true),
    set_config('enable_mergejoin', '${hash}', true);`;

/** Existing accounts by an update, new ones by an insert; a nested loop keeps the order of keys. */
const updateFirst = [
  /with posted as \([\s\S]*?from posted p;/,
  `${planner('off')}
  with updated as (
    update balances b set balance = b.balance + a.delta, sequence = b.sequence + a.count
    from unnest(a_key, a_delta, a_count) a (key, delta, count)
    where b.account_key = a.key
    returning b.account_key, b.balance, b.sequence
  )
  select array_agg(p.balance order by p.account_key), array_agg(p.sequence order by p.account_key)
    into v_balance, v_sequence from updated p;
  ${planner('on')}
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

/** Outcomes, balances and entries by one statement of common table expressions. */
const oneStatement = [
  ['  insert into outcomes (', '  with outcome as (\n  insert into outcomes ('],
  [/;\s+if cardinality\(a_key\) = 0 then return ';'; end if;\s+with posted as/, '), posted as'],
  [
    /insert into entries \(account_key[\s\S]*?e\.count;\s+return array_to_string/,
    'return array_to_string',
  ],
  [
    /select array_agg\(p\.balance order[\s\S]*?from posted p;/,
    `, after as (
    select array_agg(p.balance order by p.account_key) as balance,
           array_agg(p.sequence order by p.account_key) as sequence from posted p
  ), leg as (
    insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key,
                         tenant_id)
    select a.key, a.sequence - a.count + e.count, v_posted, e.amount,
           a.balance - a.delta + e.running, o_key[e.event], a.tenant
    from after f, unnest(a_key, f.sequence, a_count, f.balance, a_delta, a_tenant)
        with ordinality a (key, sequence, count, balance, delta, tenant, index)
      join (select unnest(e_account) as account, unnest(e_event) as event,
                   unnest(e_amount) as amount, unnest(e_running) as running,
                   unnest(e_count) as count) e on e.account = a.index
    order by e.account, e.count
  )
  select f.balance, f.sequence into v_balance, v_sequence from after f;`,
  ],
] as const;

export const statements: readonly Variant[] = [
  ours,
  { name: 'legs not sorted', replace: [legsUnsorted] },
  { name: 'legs subscripted, not joined', replace: [legsSubscripted] },
  { name: 'policies per row', schema: rights, replace: [invoker] },
  { name: 'accepted_at by numeric', replace: [numericTime] },
  { name: 'unnest in from', replace: [unnestInFrom] },
  { name: 'update, then insert', replace: [updateFirst] },
  { name: 'one statement', replace: oneStatement },
  { name: 'generic plans', settings: { plan_cache_mode: 'force_generic_plan' } },
  { name: 'custom plans', settings: { plan_cache_mode: 'force_custom_plan' } },
];

/** The server knows the types from the function: no text in between. */
const untyped = changing(({ statement, parameters }) => ({
  statement: statement.replaceAll(/::text::[a-z]+\[\]/g, ''),
  parameters,
}));

/** Places of o_tenant, o_type and o_accepted_ms, which are often the same for all. */
const squeezable = [21, 23, 28];

const squeezed = changing(({ statement, parameters }) => ({
  statement,
  parameters: parameters.map((literal, n) => (squeezable.includes(n) ? squeeze(literal) : literal)),
}));

function squeeze(literal: string): string {
  const parts = literal.slice(1, -1).split(',');
  return parts.every((part) => part === parts[0]) ? `{${parts[0]}}` : literal;
}

const squeezedColumns = ['o.accepted_ms /', 'o.tenant,', 'o.type,'].map((piece) => {
  const [column] = /\w+(?= \/|,)/.exec(piece)!;
  return [piece, piece.replace(`o.${column}`, `coalesce(o.${column}, o_${column}[1])`)] as const;
});

export const parameters: readonly Variant[] = [
  ours,
  { name: 'arrays without text between', write: untyped },
  { name: 'one value for a constant column', write: squeezed, replace: squeezedColumns },
];

export const batches: readonly Variant[] = [2_000, 250, 500, 1_000, 4_000, 8_000].map(
  (batchEvents) => ({ name: `${batchEvents} events`, batchEvents }),
);
