// What became of events that are settled, many at once: for answers that wait for the ledger.
import type { Sql } from '../io/postgres.ts';
import { eventKey } from '../ledger/identity.ts';
import { type Position, formatPosition, parsePosition, streamName } from '../stream/topology.ts';
import { topics } from '../../schemas/events.ts';
import { numberArray, textArray } from './columns.ts';

export interface EventOutcome {
  verdict: 'posted' | 'refused' | 'deferred' | 'dead' | 'conflict' | 'unknown';
  reason: string | null;
  /** Where the event that stands under this id was accepted; null without an outcome. */
  first: string | null;
}

export async function eventOutcomes(
  sql: Sql,
  tenant: number,
  events: readonly { id: string; position: Position }[],
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
  }));
}

function positionText(row: Record<string, unknown>): string {
  const offset = Number(row['first_offset']);
  const place = parsePosition(`${row['first_stream'] as string}.${offset}`, topics)!;
  return formatPosition(place.topic, place.partition, offset);
}
