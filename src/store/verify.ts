// `tallyrace verify`: proves that accepted = posted + refused + dead + pending, that the ledger is
// whole, and that caches equal their rebuild. Runs on a live system. History that was proven is
// kept as sums (sql/queries/verify.sql), so that a run costs what has come since, and a share of
// the old in turn; `full` looks at all of it again.
// Invariant: a problem stays named, run after run, until it is gone.
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import { type Sql } from '../io/postgres.ts';
import { PARTITIONS, offsetKey, parsePosition, streamName } from '../stream/topology.ts';
import { wrongPaymentRows } from './payment-stats.ts';
import { acknowledgedLost } from './lost.ts';
import { balanceCache } from './verify-balances.ts';
import { type CacheCheck, type Problem, staleCaches } from './verify-caches.ts';

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
  /** Events that Redis lost, and of which an operator has said that they were looked at. */
  acknowledged: number;
  scope: 'incremental' | 'full';
  /** What was posted before is proven and kept; null: nothing yet. */
  verified_to: string | null;
  /** Outcomes and entries of shut time that were looked at. */
  looked_at: number;
  seconds: number;
  /** At most 20 of a kind; how many there are of each kind is in `found`. */
  problems: Problem[];
  found: Record<string, number>;
}

export interface VerifyOptions {
  /** Look at all of history again. */
  full?: boolean;
  /** Stretches that are looked at at once, each on a connection of its own. */
  connections?: number;
  /** A stretch was looked at: how many of how many. */
  onStretch?(done: number, of: number): void;
}

interface Stretch {
  from: string;
  to: string;
}

interface Found extends Problem {
  /** How many of this kind there are where it was found, named or not. */
  total: number;
}

interface StreamCounters {
  stream: string;
  settled: number;
  posted: number;
  refused: number;
  dead: number;
  duplicate: number;
  deferred: number;
}

const PROBLEMS_MAX = 20;
/** About so many are sorted within the memory that a connection may take. */
const STRETCH_ENTRIES = 1_000_000;

export async function verify(
  redis: Redis,
  sql: Sql,
  checks: readonly CacheCheck[] = [],
  options: VerifyOptions = {},
): Promise<Verdict> {
  const startMs = performance.now();
  let scope: Verdict['scope'] = options.full ? 'full' : 'incremental';
  let history = await verifyHistory(sql, options);
  let [row] = await sql`select * from system_verify_present()`;
  if (scope === 'incremental' && isUnexplained(row!['problems'] as Found[])) {
    scope = 'full';
    history = await verifyHistory(sql, { ...options, full: true });
    [row] = await sql`select * from system_verify_present()`;
  }
  const { counts, problems } = await accountFor(redis, (row!['streams'] ?? []) as StreamCounters[]);
  problems.push(...(await staleCaches(redis, sql, [balanceCache, ...checks], scope === 'full')));
  problems.push(...(await wrongPaymentRows(sql, scope === 'full')));
  const named = name([...history.problems, ...(row!['problems'] as Found[]), ...problems]);
  const seconds = Math.round(performance.now() - startMs) / 1_000;
  const count = named.problems.length;
  await sql`select system_verify_finish(${count}::int, ${scope}, ${seconds}::float8)`;
  const accepted = counts.posted + counts.refused + counts.dead + counts.pending;
  const verified_to = await verifiedTo(sql);
  const ok = count === 0;
  const looked_at = history.lookedAt;
  const acknowledged = await acknowledgedLost(sql);
  const told = { scope, verified_to, looked_at, seconds, ...named };
  return { ok, accepted, ...counts, acknowledged, ...told };
}

/** Something in the proven part is off, and only a look at all of it can say what. */
function isUnexplained(problems: readonly Found[]): boolean {
  return problems.some(({ check }) => check === 'history');
}

/** Every stretch that is due, several at once. Nothing changes in them, so no snapshot is shared. */
async function verifyHistory(
  sql: Sql,
  { full = false, connections = 2, onStretch }: VerifyOptions,
): Promise<{ problems: Found[]; lookedAt: number }> {
  const [begun] = await sql`select * from system_verify_begin(${full}, ${STRETCH_ENTRIES})`;
  const due = begun!['stretches'] as Stretch[];
  const problems: Found[] = [];
  let [next, done, lookedAt] = [0, 0, 0];
  onStretch?.(0, due.length);
  const work = async (): Promise<void> => {
    for (let stretch = due[next++]; stretch; stretch = due[next++]) {
      const [row] = await sql`
        select * from system_verify_stretch(${stretch.from}::text::timestamptz,
                                            ${stretch.to}::text::timestamptz)`;
      problems.push(...(row!['problems'] as Found[]));
      lookedAt += Number(row!['looked_at']);
      onStretch?.(++done, due.length);
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
  return { problems, lookedAt };
}

async function verifiedTo(sql: Sql): Promise<string | null> {
  const [row] = await sql`select verified_until from system_verify_state()`;
  return row!['verified_until'] as string | null;
}

/** With what Redis has given out and nobody has settled yet. */
async function accountFor(redis: Redis, streams: readonly StreamCounters[]) {
  const problems: Problem[] = [];
  const counts = { posted: 0, refused: 0, dead: 0, pending: 0, duplicates: 0 };
  const known = new Set(streams.map(({ stream }) => stream));
  // What no worker has ever owned has no row, and may hold events all the same.
  const unowned = allStreams.filter((stream) => !known.has(stream)).map(emptyCounters);
  for (const counters of [...streams, ...unowned]) {
    const appended = await appendedTo(redis, counters.stream);
    if (appended < counters.settled)
      problems.push({
        check: 'offsets',
        detail: `stream ${counters.stream}: Redis counts ${appended} events, ${counters.settled} are settled`,
      });
    counts.posted += counters.posted;
    counts.refused += counters.refused;
    counts.dead += counters.dead;
    counts.duplicates += counters.duplicate;
    counts.pending += Math.max(0, appended - counters.settled) + counters.deferred;
  }
  return { counts, problems };
}

const allStreams = topics.flatMap((topic) =>
  Array.from({ length: PARTITIONS }, (_, partition) => streamName(topic, partition)),
);

function emptyCounters(stream: string): StreamCounters {
  return { stream, settled: 0, posted: 0, refused: 0, dead: 0, duplicate: 0, deferred: 0 };
}

/** Each problem once, at most so many of a kind, and how many there are in all. */
function name(all: readonly (Problem & { total?: number })[]): Pick<Verdict, 'problems' | 'found'> {
  const problems: Problem[] = [];
  const found: Record<string, number> = {};
  const byKind = Map.groupBy(all, ({ check }) => check);
  for (const [check, some] of byKind) {
    const details = new Set(some.map(({ detail }) => detail));
    for (const detail of [...details].slice(0, PROBLEMS_MAX)) problems.push({ check, detail });
    found[check] = Math.max(details.size, ...some.map(({ total }) => total ?? 1));
  }
  return { problems, found };
}

/** Events ever appended to a stream: the last offset that Redis gave out. */
async function appendedTo(redis: Redis, stream: string): Promise<number> {
  const position = parsePosition(`${stream}.0`, topics);
  if (!position) return 0;
  return Number((await redis.get(offsetKey(position.topic, position.partition))) ?? 0);
}
