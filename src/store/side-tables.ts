// What a batch writes beside outcomes and entries: evidence of conflicts, dead letters, deferrals,
// follow-ups, and the rows that rules write to tables of their own domain. Each table has a SQL
// function `<table>_write(jsonb)`, called in the statement that writes the ledger.
import type { BatchItem, BatchPlan } from '../ledger/batch.ts';
import { differingFields } from '../stream/differences.ts';

export interface SideTable {
  table: string;
  rows: object[];
}

/** Non-empty tables only, in a fixed order (engine first, then domains by name). */
export function sideTables(plan: BatchPlan): SideTable[] {
  const engine: SideTable[] = [
    { table: 'conflicts', rows: conflictRows(plan) },
    { table: 'dead_letters', rows: deadRows(plan) },
    { table: 'deferred', rows: deferredRows(plan) },
    { table: 'deferred_settled', rows: plan.undeferred.map(placeOf) },
    { table: 'outbox', rows: outboxRows(plan) },
  ];
  return [...engine, ...domainTables(plan)].filter(({ rows }) => rows.length > 0);
}

function domainTables(plan: BatchPlan): SideTable[] {
  const tables = new Map<string, object[]>();
  for (const { row, item } of plan.rows) {
    const rows = tables.get(row.table) ?? [];
    rows.push({ ...row.values, tenant_id: item.event.tenant, event_key: item.key });
    tables.set(row.table, rows);
  }
  return [...tables.keys()].sort().map((table) => ({ table, rows: tables.get(table)! }));
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
