// Commands that a rule decides: the event is appended, then its verdict is waited for, so that the
// caller is told "done" or why not. When the ledger is slower than the wait, it is 202, and the
// event's journey (GET /v1/events/{id}) tells the rest.
// Invariant: a command has one event id; sent again after an unknown answer, it has one effect.
import type { EventDefinition } from '../../schemas/events.ts';
import type { Clock } from '../io/clock.ts';
import type { Sql } from '../io/postgres.ts';
import { eventOutcomes } from '../store/outcomes.ts';
import type { Appender } from '../stream/append.ts';
import { encodeEvent } from '../stream/codec.ts';
import type { Settlement } from '../stream/settlement.ts';
import { type Position, formatPosition, partitionOf } from '../stream/topology.ts';

export interface CommandParts {
  appender: Appender;
  settlement: Settlement;
  sql: Sql;
  clock: Clock;
}

export interface CommandEvent {
  definition: EventDefinition;
  tenant: number;
  id: string;
  traceparent: string | undefined;
  data: object;
}

export interface Verdict {
  position: string;
  /** `pending`: not known within the wait. */
  verdict: 'posted' | 'refused' | 'pending';
  reason: string | null;
}

/** Resolves when Redis has it. Rejects with AppendRefused; whether Redis has it is then unknown. */
export async function appendEvent(parts: CommandParts, event: CommandEvent): Promise<Position> {
  const { definition, tenant, id, traceparent = null, data } = event;
  const header = { tenant, id, acceptedAt: parts.clock(), traceparent };
  const partition = partitionOf(tenant, definition.orderKey(data as Record<string, unknown>));
  const tuple = encodeEvent(definition, { ...header, data });
  const offset = await parts.appender.append(definition.topic, partition, tuple);
  return { topic: definition.topic, partition, offset };
}

export async function carryOutCommand(
  parts: CommandParts,
  event: CommandEvent,
  waitMs: number,
): Promise<Verdict> {
  const at = await appendEvent(parts, event);
  const position = formatPosition(at.topic, at.partition, at.offset);
  const pending: Verdict = { position, verdict: 'pending', reason: null };
  if (!(await parts.settlement.waitSettled(at, waitMs))) return pending;
  const [outcome] = await eventOutcomes(parts.sql, event.tenant, [{ id: event.id, position: at }]);
  const { verdict, reason } = outcome!;
  return verdict === 'posted' || verdict === 'refused' ? { position, verdict, reason } : pending;
}

/** When a UUIDv7 was made (RFC 9562, 5.7), so that a command that runs again says the same time. */
export function timeOfId(uuid: string): string {
  return new Date(Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16)).toISOString();
}
