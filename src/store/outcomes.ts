// What became of events that are settled, many at once: for answers that wait for the ledger.
import type { Sql } from '../io/postgres.ts';
import { eventKey } from '../ledger/identity.ts';
import { type Position, formatPosition, parsePosition, streamName } from '../stream/topology.ts';
import { topics } from '../../schemas/events.ts';
import type { EncodedEvent } from '../stream/differences.ts';
import { numberArray, textArray } from './columns.ts';

export interface EventOutcome {
  verdict: 'posted' | 'refused' | 'deferred' | 'dead' | 'conflict' | 'unknown';
  reason: string | null;
  /** Where the event that stands under this id was accepted; null without an outcome. */
  first: string | null;
  /** Of a conflict: JSON pointers of what differs from the first event. */
  fields: string[];
}

interface Place {
  id: string;
  position: Position;
}

interface Question {
  events: readonly Place[];
  resolve(outcomes: EventOutcome[]): void;
  reject(error: unknown): void;
}

const waiting = new WeakMap<Sql, Map<number, Question[]>>();

/**
 * What one turn of the event loop asks of a tenant is one query: a commit wakes all who wait for
 * it, and a query for each of them would cost Postgres more than the commit.
 */
export function eventOutcomes(
  sql: Sql,
  tenant: number,
  events: readonly Place[],
): Promise<EventOutcome[]> {
  const { promise, resolve, reject } = Promise.withResolvers<EventOutcome[]>();
  let byTenant = waiting.get(sql);
  if (!byTenant) waiting.set(sql, (byTenant = new Map()));
  const questions = byTenant.get(tenant);
  const question = { events, resolve, reject };
  if (questions) {
    questions.push(question);
  } else {
    byTenant.set(tenant, [question]);
    setImmediate(() => {
      const asked = byTenant.get(tenant)!;
      byTenant.delete(tenant);
      void answer(sql, tenant, asked);
    });
  }
  return promise;
}

async function answer(sql: Sql, tenant: number, questions: readonly Question[]): Promise<void> {
  try {
    const outcomes = await queryOutcomes(
      sql,
      tenant,
      questions.flatMap(({ events }) => events),
    );
    let from = 0;
    for (const { events, resolve } of questions) {
      resolve(outcomes.slice(from, from + events.length));
      from += events.length;
    }
  } catch (error) {
    for (const { reject } of questions) reject(error);
  }
}

async function queryOutcomes(
  sql: Sql,
  tenant: number,
  events: readonly Place[],
): Promise<EventOutcome[]> {
  const keys = textArray(events.map(({ id }) => eventKey(tenant, id)));
  const streams = textArray(
    events.map(({ position }) => streamName(position.topic, position.partition)),
  );
  const offsets = numberArray(events.map(({ position }) => position.offset));
  const rows = await sql`
    select * from event_outcomes(${tenant}, ${keys}::text::uuid[], ${streams}::text::text[],
      ${offsets}::text::bigint[])`;
  return rows.map((row) => ({
    verdict: row['verdict'] as EventOutcome['verdict'],
    reason: row['reason'] as string | null,
    first: row['first_stream'] === null ? null : positionText(row),
    fields: (row['fields'] ?? []) as string[],
  }));
}

/** Type and canonical body of the events that stand under these ids, as far as they are settled. */
export async function eventBodies(
  sql: Sql,
  tenant: number,
  ids: readonly string[],
): Promise<Map<string, EncodedEvent>> {
  const keys = textArray(ids.map((id) => eventKey(tenant, id)));
  const rows = await sql`select * from event_bodies(${tenant}, ${keys}::text::uuid[])`;
  return new Map(
    rows.map((row) => [
      row['event_id'] as string,
      { type: row['type'] as string, body: row['body'] as Buffer },
    ]),
  );
}

function positionText(row: Record<string, unknown>): string {
  const offset = Number(row['first_offset']);
  const place = parsePosition(`${row['first_stream'] as string}.${offset}`, topics)!;
  return formatPosition(place.topic, place.partition, offset);
}
