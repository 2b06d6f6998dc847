// One worker against a backlog: the streams are filled first, then it starts, and its pace is taken
// from when the first tenth is settled, so that its start does not count.
import type { Redis } from 'ioredis';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { Appender } from '../../src/stream/append.ts';
import type { Stack } from '../../test/services.ts';
import { percentilesMs, workerTimes } from './committed.ts';
import { type Earning, LEGS, appendEarning } from './earnings.ts';
import { watch } from './machine.ts';
import { allSettled, reached } from './progress.ts';
import type { Measurement } from './rounds.ts';

export const WARM_UP_SHARE = 0.1;
/** Few enough that the loop turns between them: a command must not time out unsent. */
const FILL_EVENTS = 10_000;
const TENANT = 1;

export type LedgerStack = Pick<Stack, 'redisUrl' | 'redisPid' | 'postgresPid' | 'home' | 'owner'>;

/** On any stack whose streams are settled; the worker is left running. */
export async function measureWorker(
  stack: LedgerStack,
  events: readonly Earning[],
  start: () => { pid: number } | Promise<{ pid: number }>,
  warmUpEvents = events.length * WARM_UP_SHARE,
): Promise<Measurement> {
  const redis = producerClient(stack.redisUrl, 'bench');
  await redisReady(redis);
  try {
    const settledBefore = await allSettled(redis, 'events');
    const postedBefore = await postedBy(stack);
    await fill(redis, events);
    const worker = await start();
    const warm = settledBefore + warmUpEvents;
    const from = await reached(redis, 'events', warm);
    const used = watch({ worker: worker.pid, postgres: stack.postgresPid, redis: stack.redisPid });
    const to = await reached(redis, 'events', settledBefore + events.length);
    const seconds = (to.atMs - from.atMs) / 1000;
    const usage = used(seconds);
    const posted = (await postedBy(stack)) - postedBefore;
    return {
      perSecond: ((to.settled - from.settled) * LEGS) / seconds,
      ...percentilesMs(await workerTimes(stack, 'flush')),
      timed: 'a write to Postgres',
      ...usage,
      doubts: posted === events.length ? [] : [`of ${events.length} events ${posted} were posted`],
    };
  } finally {
    redis.disconnect();
  }
}

/** As entries of a hundred events, like those of a busy ingress. */
export async function fill(
  redis: Redis,
  events: Iterable<Earning>,
  onFilled: (events: number) => void = () => {},
): Promise<void> {
  const appender = new Appender(redis, { bytesWaitingMax: 2 ** 30, entryEventsMax: 100 });
  let open: Promise<number>[] = [];
  for (const earning of events) {
    open.push(appendEarning(appender, TENANT, earning));
    if (open.length < FILL_EVENTS) continue;
    onFilled((await Promise.all(open)).length);
    open = [];
  }
  onFilled((await Promise.all(open)).length);
}

async function postedBy({ owner }: LedgerStack): Promise<number> {
  const [row] = await owner<{ posted: number }[]>`
    select coalesce(sum(posted), 0)::int as posted from streams`;
  return row!.posted;
}
