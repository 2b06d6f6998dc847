// The small queues that the worker polls in Postgres: follow-ups on their way out, and deferred
// events whose time has come.
import { eventDefinition } from '../../schemas/index.ts';
import type { Sql } from '../io/postgres.ts';
import type { BatchItem } from '../ledger/batch.ts';
import { eventKey, fingerprint } from '../ledger/identity.ts';
import { decodeBody } from '../stream/codec.ts';
import type { OutboxEvent, OutboxStore } from '../stream/relay.ts';
import { numberArray, textArray } from './columns.ts';

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
  return rows.map((row) => deferredItem(row));
}

function deferredItem(row: Record<string, unknown>): BatchItem {
  const type = row['type'] as string;
  const tenant = row['tenant_id'] as number;
  const id = row['event_id'] as string;
  const body = row['body'] as Buffer;
  const definition = eventDefinition.get(type) ?? null;
  const item: BatchItem = {
    stream: row['stream'] as string,
    offset: Number(row['stream_offset']),
    events: 1,
    key: eventKey(tenant, id),
    fingerprint: fingerprint(type, body),
    attempts: row['attempts'] as number,
    event: { tenant, id, type, acceptedAt: Number(row['accepted_ms']), data: null },
    definition,
    traceparent: null,
    body,
    broken: null,
  };
  try {
    if (!definition) throw new Error(`unknown event type ${type}`);
    item.event.data = decodeBody(definition, body).data;
  } catch (error) {
    item.broken = { reason: 'undecodable', detail: String(error) };
  }
  return item;
}
