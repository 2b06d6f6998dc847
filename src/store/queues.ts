// The small queues that the worker polls in Postgres: follow-ups on their way out, and deferred
// events whose time has come.
import type { Sql } from '../io/postgres.ts';
import type { BatchItem } from '../ledger/batch.ts';
import type { OutboxEvent, OutboxStore } from '../stream/relay.ts';
import { numberArray, textArray } from './columns.ts';
import { storedItem } from './stored-event.ts';

export function outboxStore(sql: Sql): OutboxStore {
  return {
    async waiting(limit) {
      const rows = await sql`select * from system_outbox(${limit})`;
      return rows.map((row): OutboxEvent => ({
        id: String(row['id']),
        tenant: row['tenant_id'] as number,
        eventId: row['event_id'] as string,
        type: row['type'] as string,
        acceptedAt: Number(row['accepted_ms']),
        traceparent: row['traceparent'] as string | null,
        data: row['data'] as object,
      }));
    },
    async relayed(ids) {
      await sql`select system_outbox_relayed(${numberArray(ids)}::text::bigint[])`;
    },
  };
}

/** Due events of these streams, as items of a batch. */
export async function dueDeferred(
  sql: Sql,
  streams: readonly string[],
  limit: number,
): Promise<BatchItem[]> {
  if (streams.length === 0) return [];
  const rows = await sql`
    select * from system_deferred_due(${textArray(streams)}::text::text[], ${limit})`;
  return rows.map((row) => storedItem(row, row['attempts'] as number));
}
