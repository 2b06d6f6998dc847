// `tallyrace verify`: proves that accepted = posted + refused + dead + pending, that the ledger is
// whole, and that caches equal their rebuild. Runs on a live system: the ledger is read in one
// snapshot, the offsets in Redis after it, and a cache that differs is asked again before it is
// named.
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import { type Sql } from '../io/postgres.ts';
import { offsetKey, parsePosition } from '../stream/topology.ts';
import { type Problem, staleBalances } from './verify-caches.ts';

export type { Problem } from './verify-caches.ts';

export interface Verdict {
  ok: boolean;
  /** Distinct events that were accepted: those that came again are `duplicates`. */
  accepted: number;
  posted: number;
  refused: number;
  dead: number;
  /** On a stream and not yet settled, or deferred. */
  pending: number;
  duplicates: number;
  problems: Problem[];
}

interface StreamCounters {
  stream: string;
  settled: number;
  posted: number;
  refused: number;
  dead: number;
  duplicate: number;
  deferred: number;
  renumbered: number;
  lost: number;
}

/** A check beside the engine's own, such as that of a domain's counters in Redis. */
export type Check = (redis: Redis, sql: Sql) => Promise<Problem[]>;

export async function verify(
  redis: Redis,
  sql: Sql,
  checks: readonly Check[] = [],
): Promise<Verdict> {
  const [row] = await sql`select * from system_verify()`;
  const problems = (row!['problems'] ?? []) as Problem[];
  const totals = { posted: 0, refused: 0, dead: 0, pending: 0, duplicates: 0 };
  for (const counters of (row!['streams'] ?? []) as StreamCounters[]) {
    const appended = await appendedTo(redis, counters.stream);
    if (appended < counters.settled)
      problems.push({
        check: 'offsets',
        detail: `stream ${counters.stream}: Redis counts ${appended} events, ${counters.settled} are settled`,
      });
    totals.posted += counters.posted;
    totals.refused += counters.refused;
    totals.dead += counters.dead;
    totals.duplicates += counters.duplicate;
    totals.pending += Math.max(0, appended - counters.settled) + counters.deferred;
  }
  for (const check of [staleBalances, ...checks]) problems.push(...(await check(redis, sql)));
  const { duplicates, ...counts } = totals;
  const accepted = counts.posted + counts.refused + counts.dead + counts.pending;
  return { ok: problems.length === 0, accepted, ...counts, duplicates, problems };
}

/** Events ever appended to a stream: the last offset that Redis gave out. */
async function appendedTo(redis: Redis, stream: string): Promise<number> {
  const position = parsePosition(`${stream}.0`, topics);
  if (!position) return 0;
  return Number((await redis.get(offsetKey(position.topic, position.partition))) ?? 0);
}
