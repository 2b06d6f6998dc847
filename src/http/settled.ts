// `Prefer: wait=ledger` on events: when every position is settled, the results say what the ledger
// made of each; when time runs out first, they stay as they are.
// Invariant: a repeat that only the ledger could know is told as such.
import type { Sql } from '../io/postgres.ts';
import { eventKey } from '../ledger/identity.ts';
import { transactionId } from '../store/accounts.ts';
import { type EventOutcome, eventOutcomes } from '../store/outcomes.ts';
import type { Settlement } from '../stream/settlement.ts';
import type { ItemResult } from './ingest.ts';
import { positionOf } from './position.ts';
import { reusedId } from './problem.ts';

export interface SettledParts {
  sql: Sql;
  settlement: Settlement;
}

export interface Outcome {
  verdict: EventOutcome['verdict'];
  reason?: string;
  transaction_id?: string;
}

export type SettledResult = ItemResult & { outcome?: Outcome };

/** Null when the ledger did not come so far in time. */
export async function settledResults(
  { sql, settlement }: SettledParts,
  tenant: number,
  results: readonly ItemResult[],
  timeoutMs: number,
): Promise<SettledResult[] | null> {
  const waiting = results.flatMap((result, index) =>
    result.status === 'rejected'
      ? []
      : [{ index, id: result.id, position: positionOf(result.position)! }],
  );
  const reached = await Promise.all(
    waiting.map(({ position }) => settlement.waitSettled(position, timeoutMs)),
  );
  if (reached.includes(false)) return null;
  const settled: SettledResult[] = [...results];
  const outcomes = await eventOutcomes(sql, tenant, waiting);
  waiting.forEach(({ index, id }, place) => {
    settled[index] = settledResult(tenant, id, results[index]!, outcomes[place]!);
  });
  return settled;
}

function settledResult(
  tenant: number,
  id: string,
  result: ItemResult,
  { verdict, reason, first, fields }: EventOutcome,
): SettledResult {
  if (result.status === 'rejected') return result;
  if (verdict === 'conflict') return { id, status: 'rejected', problem: reusedId(fields) };
  const outcome: Outcome = {
    verdict,
    ...(reason !== null && { reason }),
    ...(verdict === 'posted' && { transaction_id: transactionId(eventKey(tenant, id)) }),
  };
  if (first === null || first === result.position) return { ...result, outcome };
  return { id, status: 'duplicate', position: first, outcome };
}
