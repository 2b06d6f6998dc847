// Loads a ledger to a given size through the real path: earnings into the streams, a worker that
// writes them. What is settled stays settled, so a load that was stopped goes on where it was.
// Invariants: ids are unique across resumptions; the backlog in Redis is bounded.
import type { Redis } from 'ioredis';
import { progress } from '../../src/cli/progress.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { fill } from './backlog.ts';
import { LEGS, earningSource, take } from './earnings.ts';
import type { LastingStack } from './lasting-stack.ts';
import { watch } from './machine.ts';
import { appendedTo, settledTo } from './progress.ts';
import { sizesOf, totalMb } from './sizes.ts';

/** About three seconds of a worker; some ten megabytes in Redis. */
const BACKLOG_EVENTS_MAX = 100_000;
const STEP_EVENTS = 10_000;
const STALLED_MS = 60_000;

export interface Stretch {
  entries: number;
  /** Generator, Redis, worker and Postgres share the machine. */
  entriesPerSecond: number;
  walBytesEach: number;
  tablesMb: number;
  indexesMb: number;
  workerPeakMb: number;
  redisPeakMb: number;
  workerCores: number;
  postgresCores: number;
}

export interface Load {
  entries: number;
  /** A row of the table every so many. */
  everyEntries: number;
  users: number;
  signal: AbortSignal;
  onStretch(stretch: Stretch): void;
}

export async function loadUpTo(stack: LastingStack, load: Load): Promise<void> {
  const redis = producerClient(stack.redisUrl, 'bench-growth');
  await redisReady(redis);
  const worker = await stack.startWorker();
  const pids = { worker: worker.pid, postgres: stack.postgresPid, redis: stack.redisPid };
  try {
    await feed(stack, redis, pids, load);
  } finally {
    await stack.stopWorker();
    redis.disconnect();
  }
}

async function feed(
  stack: LastingStack,
  redis: Redis,
  pids: Record<string, number>,
  { entries, everyEntries, users, signal, onStretch }: Load,
): Promise<void> {
  const run = `g${Date.now().toString(36)}`;
  const next = earningSource(users, run, 'zipf', Date.now());
  const wanted = Math.ceil(entries / LEGS);
  let appended = await appendedTo(redis, 'events');
  let settled = await settledTo(redis, 'events');
  const bar = progress('entries', (wanted - settled) * LEGS);
  let stretch = await openStretch(stack, pids, settled);
  let movedMs = performance.now();
  while (settled < wanted && !signal.aborted) {
    const count = Math.min(STEP_EVENTS, wanted - appended);
    if (count > 0 && appended - settled < BACKLOG_EVENTS_MAX) {
      await fill(redis, take(next, count));
      appended += count;
    } else await Bun.sleep(10);
    const now = await settledTo(redis, 'events');
    bar.add((now - settled) * LEGS);
    if (now > settled) movedMs = performance.now();
    else if (performance.now() - movedMs > STALLED_MS)
      throw new Error(`the worker stalls at ${settled} of ${wanted} events`);
    settled = now;
    // The last stretch takes what would be too little for one of its own.
    const far = (settled - stretch.from) * LEGS >= everyEntries;
    const more = (wanted - settled) * LEGS >= everyEntries / 2;
    if (settled < wanted && !(far && more)) continue;
    onStretch(await stretch.end(settled));
    stretch = await openStretch(stack, pids, settled);
  }
  bar.end();
}

async function openStretch(stack: LastingStack, pids: Record<string, number>, from: number) {
  const startMs = performance.now();
  const walBefore = await walBytes(stack);
  const used = watch(pids);
  return {
    from,
    async end(settled: number): Promise<Stretch> {
      const seconds = (performance.now() - startMs) / 1000;
      const { cores, rssMb } = used(seconds);
      const written = (settled - from) * LEGS;
      const { tables, indexes } = totalMb(await sizesOf(stack.owner));
      return {
        entries: settled * LEGS,
        entriesPerSecond: written / seconds,
        walBytesEach: ((await walBytes(stack)) - walBefore) / written,
        tablesMb: tables,
        indexesMb: indexes,
        workerPeakMb: rssMb['worker']!,
        redisPeakMb: rssMb['redis']!,
        workerCores: cores['worker']!,
        postgresCores: cores['postgres']!,
      };
    },
  };
}

async function walBytes({ owner }: LastingStack): Promise<number> {
  const [row] = await owner<{ bytes: number }[]>`
    select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as bytes`;
  return row!.bytes;
}
