// Same id, other event: refused, with the fields that differ. The first event is looked up in the
// ledger for that, which only a client that made a mistake waits for.
import type { Sql } from '../io/postgres.ts';
import { eventBodies } from '../store/outcomes.ts';
import { differingFields } from '../stream/differences.ts';
import type { Settlement } from '../stream/settlement.ts';
import type { ItemResult, Reuse } from './ingest.ts';
import { positionOf } from './position.ts';
import { reusedId } from './problem.ts';

/** How long the first event may take to reach the ledger; without it no field is named. */
const WAIT_MS = 500;

/** Whether any of the results is about an id that was used again; nearly never. */
export function hasReuse(results: readonly ItemResult[]): boolean {
  for (const result of results) if (result.status === 'rejected' && result.reuse) return true;
  return false;
}

/** The results, with the differing fields named where an id was used again. */
export async function withDifferences(
  parts: { sql: Sql; settlement: Settlement },
  tenant: number,
  results: readonly ItemResult[],
): Promise<readonly ItemResult[]> {
  const reused = results.flatMap((result) =>
    result.status === 'rejected' && result.reuse ? [{ id: result.id!, reuse: result.reuse }] : [],
  );
  await Promise.all(reused.map(({ reuse }) => firstSettled(parts.settlement, reuse)));
  const ids = reused.map(({ id }) => id);
  const firsts = await eventBodies(parts.sql, tenant, ids);
  return results.map((result) => {
    if (result.status !== 'rejected' || !result.reuse) return result;
    const first = firsts.get(result.id!);
    if (!first) return result;
    return { ...result, problem: reusedId(differingFields(first, result.reuse)) };
  });
}

async function firstSettled(settlement: Settlement, { first }: Reuse): Promise<void> {
  await first.receipt.settled?.catch(() => {});
  const position = positionOf(first.receipt.position(first.index));
  if (position) await settlement.waitSettled(position, WAIT_MS);
}
