// What a batch writes beside outcomes and entries: evidence of conflicts, dead letters, deferrals,
// offsets without a row of their own, follow-ups, and the rows that rules write to tables of their
// own domain. Each table has a SQL function `<table>_write(jsonb)`, called in the statement that
// writes the ledger.
import type { BatchItem, BatchPlan } from '../ledger/batch.ts';
import { differingFields } from '../stream/differences.ts';
import type { OffsetRun, StreamStep } from './writer.ts';

export interface SideTable {
  table: string;
  rows: object[];
}

/**
 * Non-empty tables only, in a fixed order: the engine's, records, rows of domains, by name. So what
 * many batches add to is locked last.
 */
export function sideTables(plan: BatchPlan, steps: readonly StreamStep[]): SideTable[] {
  const engine: SideTable[] = [
    { table: 'conflicts', rows: conflictRows(plan) },
    { table: 'dead_letters', rows: deadRows(plan) },
    { table: 'deferred', rows: deferredRows(plan) },
    { table: 'deferred_settled', rows: plan.undeferred.map(placeOf) },
    { table: 'offset_runs', rows: runRows(plan, steps) },
    { table: 'outbox', rows: outboxRows(plan) },
  ];
  return [...engine, ...savedRecords(plan), ...domainTables(plan)].filter(
    ({ rows }) => rows.length > 0,
  );
}

/** An entity that several events of the batch have changed is written once, as the last left it. */
function savedRecords({ state }: BatchPlan): SideTable[] {
  const tables = new Map<string, object[]>();
  for (const { tenant, table, key, body, changed } of state.recordSlots().values()) {
    if (!changed) continue;
    const rows = tables.get(table) ?? [];
    rows.push({ tenant_id: tenant, key, body });
    tables.set(table, rows);
  }
  return [...tables.keys()].sort().map((table) => ({ table, rows: tables.get(table)! }));
}

function domainTables(plan: BatchPlan): SideTable[] {
  const tables = new Map<string, object[]>();
  const sums = new Map<string, Record<string, number>>();
  for (const { row, item } of plan.rows) {
    const { table, values, adds } = row;
    const rows = tables.get(table) ?? [];
    tables.set(table, rows);
    const { tenant } = item.event;
    if (!adds) {
      rows.push({ ...values, tenant_id: tenant, event_key: item.key });
      continue;
    }
    const alike = `${table} ${tenant} ${JSON.stringify(values)}`;
    const sum = sums.get(alike);
    if (sum && addTo(sum, adds)) continue;
    const first = { ...values, ...adds, tenant_id: tenant };
    sums.set(alike, first as unknown as Record<string, number>);
    rows.push(first);
  }
  return [...tables.keys()].sort().map((table) => ({ table, rows: tables.get(table)! }));
}

/** False, and nothing is added, where a sum would be more than a number holds exactly. */
function addTo(sum: Record<string, number>, adds: Readonly<Record<string, number>>): boolean {
  const added = Object.entries(adds).map(([name, by]) => [name, (sum[name] ?? 0) + by] as const);
  if (!added.every(([, value]) => Number.isSafeInteger(value))) return false;
  for (const [name, value] of added) sum[name] = value;
  return true;
}

function conflictRows(plan: BatchPlan): object[] {
  return plan.conflicts.map(({ item, known }) => ({
    ...identityOf(item),
    fields: differingFields(known, { type: item.event.type, body: item.body }),
  }));
}

function deadRows(plan: BatchPlan): object[] {
  return plan.dead.map(({ item, reason, detail }) => ({
    ...identityOf(item),
    events: item.events,
    reason,
    detail: detail.slice(0, 2_000),
    attempts: item.attempts + 1,
    accepted_ms: item.event.acceptedAt,
  }));
}

/** Full jitter: a herd of deferred events does not come back as one. */
function deferredRows(plan: BatchPlan): object[] {
  return plan.deferred.map(({ item, reason }) => ({
    ...identityOf(item),
    reason,
    attempts: item.attempts + 1,
    delay_ms: Math.ceil(Math.random() * Math.min(60_000, 250 * 2 ** item.attempts)) + 50,
    accepted_ms: item.event.acceptedAt,
  }));
}

/** So that verification can place every offset: see sql/migrations/0004_verify.sql. */
function runRows(plan: BatchPlan, steps: readonly StreamStep[]): object[] {
  const rows = (kind: string, stream: string, runs: readonly OffsetRun[]): object[] =>
    runs.map(({ first, count }) => ({ stream, kind, first, last: first + count - 1 }));
  return [
    ...steps.flatMap(({ stream, lost }) => rows('lost', stream, lost)),
    ...steps.flatMap(({ stream, renumbered }) => rows('renumbered', stream, joined(renumbered))),
    ...[...Map.groupBy(plan.repeats, ({ stream }) => stream)].flatMap(([stream, items]) =>
      rows(
        'duplicate',
        stream,
        joined(items.map(({ offset, events }) => ({ first: offset, count: events }))),
      ),
    ),
  ];
}

/** Neighbours become one run: a batch that was sent again whole is one row, not thousands. */
function joined(runs: readonly OffsetRun[]): OffsetRun[] {
  const together: OffsetRun[] = [];
  for (const { first, count } of runs.toSorted((a, b) => a.first - b.first)) {
    const last = together.at(-1);
    if (last && last.first + last.count === first) last.count += count;
    else together.push({ first, count });
  }
  return together;
}

function outboxRows(plan: BatchPlan): object[] {
  return plan.followUps.map(({ followUp, item }) => ({
    tenant_id: item.event.tenant,
    event_id: `${item.event.id}/${followUp.suffix}`,
    type: followUp.type,
    accepted_ms: item.event.acceptedAt,
    traceparent: item.traceparent,
    data: followUp.data,
  }));
}

function identityOf(item: BatchItem): object {
  return {
    ...placeOf(item),
    tenant_id: item.event.tenant,
    event_key: item.key,
    event_id: item.event.id,
    type: item.event.type,
    body: item.body.toString('base64'),
  };
}

function placeOf(item: BatchItem): object {
  return { stream: item.stream, stream_offset: item.offset, event_key: item.key };
}
