// Writes a decided batch: one statement, whole or not at all (see ledger_write in sql/queries).
// Invariant: nothing is written for a stream whose epoch is not ours or whose position is not the
// expected one; a batch that is refused here has left nothing behind.
import type { BatchPlan, PlannedOutcome } from '../ledger/batch.ts';
import type { AccountSlot } from '../ledger/state.ts';
import { type Sql, sqlState } from '../io/postgres.ts';
import { NumberColumn, TextColumn, bytesColumn, numberArray, textArray } from './columns.ts';
import { sideTables } from './side-tables.ts';

/** Offsets that follow each other. */
export interface OffsetRun {
  first: number;
  count: number;
}

/** How a stream moves with this batch. */
export interface StreamStep {
  stream: string;
  epoch: string;
  from: number;
  to: number;
  renumbered: OffsetRun[];
  lost: OffsetRun[];
}

export interface WrittenBalance {
  slot: AccountSlot;
  balance: number;
  sequence: number;
}

/** Why a write did not happen, as far as the runner treats reasons differently. */
export type WriteFault =
  'fenced' | 'repeat' | 'floor' | 'range' | 'data' | 'slow' | 'infrastructure';

export async function writeBatch(
  sql: Sql,
  plan: BatchPlan,
  steps: readonly StreamStep[],
): Promise<WrittenBalance[]> {
  const slots = plan.state.touched();
  slots.forEach((slot, index) => (slot.index = index + 1));
  const side = sideTables(plan, steps);
  const parameters = [
    tenantsOf(plan),
    ...streamColumns(plan, steps),
    ...accountColumns(slots),
    ...outcomeColumns(plan.outcomes),
    ...entryColumns(plan.outcomes, slots),
    ...side.map(({ rows }) => JSON.stringify(rows)),
  ];
  const [row] = await sql.unsafe(statementFor(side.map(({ table }) => table)), parameters, {
    prepare: true,
  });
  return balancesOf(slots, row!['written'] as string);
}

export function faultOf(error: unknown): WriteFault {
  const state = sqlState(error);
  if (state === undefined) return 'infrastructure';
  if (state === 'TR001') return 'fenced';
  if (state === 'TR003') return 'floor';
  if (state === '23514' && constraintOf(error) === 'balance_in_range') return 'range';
  // Statement timeout: the same batch would take as long again.
  if (state === '57014') return 'slow';
  if (state === '23505' && /^outcomes_/.test((error as { table_name?: string }).table_name ?? ''))
    return 'repeat';
  // Months are made ahead; where that has failed for long, no event is to blame.
  if (state === '23514' && /no partition of relation/.test((error as Error).message))
    return 'infrastructure';
  // 22 data exception, 23 constraint, 54 limit exceeded: some event of the batch is the cause.
  return /^(22|23|54)/.test(state) ? 'data' : 'infrastructure';
}

function constraintOf(error: unknown): string | undefined {
  return (error as { constraint_name?: string }).constraint_name;
}

const casts = [
  'int[]',
  ...['text[]', ...Array<string>(10).fill('bigint[]')],
  ...['uuid[]', 'int[]', 'text[]', 'text[]', ...Array<string>(4).fill('bigint[]')],
  ...['uuid[]', 'int[]', 'text[]', 'text[]', 'bigint[]', 'text[]', 'text[]', 'bigint[]'],
  ...['bigint[]', 'bytea', 'int[]', 'int[]'],
  ...['int[]', 'int[]', 'bigint[]', 'bigint[]', 'bigint[]'],
];
const ledgerCall = `ledger_write(${casts
  .map((cast, index) => `$${index + 1}::text::${cast}`)
  .join(', ')}) as written`;

const statements = new Map<string, string>();

/** One prepared statement for each set of side tables; few sets occur. */
function statementFor(tables: readonly string[]): string {
  const name = tables.join(' ');
  let statement = statements.get(name);
  if (!statement) {
    const calls = tables.map(
      (table, index) => `${table}_write($${casts.length + index + 1}::text::jsonb)`,
    );
    statement = `select ${[ledgerCall, ...calls].join(', ')}`;
    statements.set(name, statement);
  }
  return statement;
}

function tenantsOf(plan: BatchPlan): string {
  const tenants = new Set<number>();
  for (const { item } of plan.outcomes) tenants.add(item.event.tenant);
  for (const list of [plan.conflicts, plan.dead, plan.deferred])
    for (const { item } of list) tenants.add(item.event.tenant);
  for (const item of plan.undeferred) tenants.add(item.event.tenant);
  return numberArray([...tenants]);
}

function streamColumns(plan: BatchPlan, steps: readonly StreamStep[]): string[] {
  const counts = steps.map(
    ({ stream }) =>
      plan.counts.get(stream) ?? { posted: 0, refused: 0, dead: 0, duplicate: 0, deferred: 0 },
  );
  return [
    textArray(steps.map((step) => step.stream)),
    numberArray(steps.map((step) => step.epoch)),
    numberArray(steps.map((step) => step.from)),
    numberArray(steps.map((step) => step.to)),
    numberArray(counts.map((count) => count.posted)),
    numberArray(counts.map((count) => count.refused)),
    numberArray(counts.map((count) => count.dead)),
    numberArray(counts.map((count) => count.duplicate)),
    numberArray(counts.map((count) => count.deferred)),
    numberArray(steps.map((step) => eventsIn(step.renumbered))),
    numberArray(steps.map((step) => eventsIn(step.lost))),
  ];
}

function eventsIn(runs: readonly OffsetRun[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0);
}

function accountColumns(slots: readonly AccountSlot[]): string[] {
  const [account, unit] = [new TextColumn(), new TextColumn()];
  const floor = new NumberColumn();
  for (const slot of slots) {
    account.push(slot.account);
    unit.push(slot.unit);
    floor.push(slot.floor);
  }
  return [
    numberArray(slots.map((slot) => slot.key)),
    numberArray(slots.map((slot) => slot.tenant)),
    account.literal(),
    unit.literal(),
    floor.literal(),
    numberArray(slots.map((slot) => slot.running)),
    numberArray(slots.map((slot) => slot.low)),
    numberArray(slots.map((slot) => slot.count)),
  ];
}

function outcomeColumns(outcomes: readonly PlannedOutcome[]): string[] {
  const [id, type, reason, stream] = [
    new TextColumn(),
    new TextColumn(),
    new TextColumn(),
    new TextColumn(),
  ];
  for (const outcome of outcomes) {
    id.push(outcome.item.event.id);
    type.push(outcome.item.event.type);
    reason.push(outcome.reason ?? '');
    stream.push(outcome.item.stream);
  }
  return [
    numberArray(outcomes.map(({ item }) => item.key)),
    numberArray(outcomes.map(({ item }) => item.event.tenant)),
    id.literal(),
    type.literal(),
    numberArray(outcomes.map(({ item }) => item.fingerprint)),
    reason.literal(),
    stream.literal(),
    numberArray(outcomes.map(({ item }) => item.offset)),
    numberArray(outcomes.map(({ item }) => item.event.acceptedAt)),
    ...bytesColumn(outcomes.map(({ item }) => item.body)),
  ];
}

/** In the order of accounts and of sequences within each: a count says where an account's begin. */
function entryColumns(
  outcomes: readonly PlannedOutcome[],
  slots: readonly AccountSlot[],
): string[] {
  const before: number[] = [];
  let legs = 0;
  for (const slot of slots) {
    before.push(legs);
    legs += slot.count;
  }
  const column = (): Float64Array => new Float64Array(legs);
  const [account, event, amount] = [column(), column(), column()];
  const [running, count] = [column(), column()];
  for (const outcome of outcomes) {
    for (const entry of outcome.entries) {
      const { slot } = entry;
      const place = before[slot.index - 1]! + entry.count - 1;
      account[place] = slot.index;
      event[place] = outcome.index;
      amount[place] = entry.amount;
      running[place] = entry.running;
      count[place] = entry.count;
    }
  }
  return [account, event, amount, running, count].map((values) => numberArray(values));
}

function balancesOf(slots: readonly AccountSlot[], written: string): WrittenBalance[] {
  if (slots.length === 0) return [];
  const [balances, sequences] = written.split(';').map((list) => list.split(','));
  return slots.map((slot, index) => ({
    slot,
    balance: Number(balances![index]),
    sequence: Number(sequences![index]),
  }));
}
