// Relays follow-up events from the outbox to their streams. At least once: a crash between the
// append and the delete sends an event again, under the same id, which the ledger takes once.
import { eventDefinition } from '../../schemas/index.ts';
import type { Log } from '../io/log.ts';
import { encodeEvent } from './codec.ts';
import type { EventAppender } from './ports.ts';
import { partitionOf } from './topology.ts';

export interface OutboxEvent {
  id: string;
  tenant: number;
  eventId: string;
  type: string;
  acceptedAt: number;
  traceparent: string | null;
  data: object;
}

export interface OutboxStore {
  waiting(limit: number): Promise<OutboxEvent[]>;
  relayed(ids: readonly string[]): Promise<void>;
}

const PAGE = 500;

/** Moves one page; gives how many were moved. Rejects when Redis or Postgres is away. */
export async function relayOnce(
  outbox: OutboxStore,
  appender: EventAppender,
  log: Log,
): Promise<number> {
  const events = await outbox.waiting(PAGE);
  if (events.length === 0) return 0;
  const results = await Promise.allSettled(events.map((event) => appendFollowUp(event, appender)));
  const moved = events.filter((_, index) => results[index]!.status === 'fulfilled');
  if (moved.length > 0) await outbox.relayed(moved.map((event) => event.id));
  if (moved.length < events.length)
    log.warn({ waiting: events.length - moved.length }, 'follow-ups not relayed, trying again');
  return moved.length;
}

async function appendFollowUp(event: OutboxEvent, appender: EventAppender): Promise<void> {
  const definition = eventDefinition.get(event.type);
  if (!definition) throw new Error(`follow-up of unknown type ${event.type}`);
  const { tenant, eventId: id, acceptedAt, traceparent, data } = event;
  const partition = partitionOf(tenant, definition.orderKey(data as Record<string, unknown>));
  const tuple = encodeEvent(definition, { tenant, id, acceptedAt, traceparent, data });
  await appender.append(definition.topic, partition, tuple);
}
