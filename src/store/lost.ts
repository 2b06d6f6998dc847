// What Redis lost for good and an operator has looked at: verification then no longer names it.
// Invariant: it covers what was lost until then; who said so, and why, stays on record.
import type { Sql } from '../io/postgres.ts';

export interface Acknowledged {
  stream: string;
  events: number;
  /** Runs of offsets, the first and the last of each. */
  positions: [first: number, last: number][];
}

export async function acknowledgeLost(
  sql: Sql,
  actor: string,
  reason: string,
): Promise<Acknowledged[]> {
  const rows = await sql`select * from system_verify_acknowledge(${actor}, ${reason})`;
  return rows.map((row) => ({
    stream: row['stream'] as string,
    events: Number(row['events']),
    positions: row['positions'] as Acknowledged['positions'],
  }));
}

export async function acknowledgedLost(sql: Sql): Promise<number> {
  const [row] = await sql`select system_verify_acknowledged() as events`;
  return Number(row!['events']);
}
