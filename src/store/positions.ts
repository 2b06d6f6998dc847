// Where the ledger has settled each stream to, as the ledger itself says.
import { topics } from '../../schemas/events.ts';
import type { Sql } from '../io/postgres.ts';
import { type Position, parsePosition } from '../stream/topology.ts';

export async function settledPositions(sql: Sql): Promise<Position[]> {
  const rows = await sql`select stream, settled from streams`;
  return rows
    .map((row) => parsePosition(`${row['stream'] as string}.${String(row['settled'])}`, topics))
    .filter((position) => position !== null);
}
