// An event that Postgres keeps (an outcome, a deferral), as the item of a batch again.
import { eventDefinition } from '../../schemas/index.ts';
import type { BatchItem } from '../ledger/batch.ts';
import { eventKey, fingerprint } from '../ledger/identity.ts';
import { decodeBody } from '../stream/codec.ts';

/** Columns: tenant_id, event_id, type, stream, stream_offset, accepted_ms, body. */
export function storedItem(row: Readonly<Record<string, unknown>>, attempts: number): BatchItem {
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
    attempts,
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
