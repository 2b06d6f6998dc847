// T3: one worker against the same rows by bare SQL. The streams are full before the worker starts,
// and the first tenth is not timed, so its start does not count.
import type { Redis } from 'ioredis';
import { EarningCredited } from '../schemas/accounts.ts';
import { connectPostgres } from '../src/io/postgres.ts';
import { producerClient, redisReady } from '../src/io/redis.ts';
import { Appender } from '../src/stream/append.ts';
import { encodeEvent } from '../src/stream/codec.ts';
import { partitionOf } from '../src/stream/topology.ts';
import { type Stack, openServices } from '../test/services.ts';
import { buildBatches, writeBatches } from './limits/bare-ledger.ts';
import { type Earning, earningData, earnings } from './lib/earnings.ts';
import { watch } from './lib/machine.ts';
import { reached } from './lib/progress.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';

const USERS = 100_000;
const LEGS = 2;
const BATCH_EVENTS = 2_000;
const WARM_UP_SHARE = 0.1;
const EVENTS_PER_SECOND_EXPECTED = 30_000;

export function ledgerBench({ seconds }: BenchOptions): Comparison[] {
  const count = Math.round(seconds * EVENTS_PER_SECOND_EXPECTED);
  const events = earnings(count, USERS, 'evt');
  return [
    {
      name: 'ledger',
      target: '>= 0.8 x limit, >= 80,000 entries/s a worker',
      unit: 'entries/s',
      subject: () => withServices((stack) => measureWorker(stack, events)),
      limit: () => withServices((stack) => measureBareSql(stack, events)),
    },
  ];
}

async function withServices(measure: (stack: Stack) => Promise<Measurement>): Promise<Measurement> {
  const stack = await openServices('bench');
  try {
    await stack.createTenant('bench');
    return await measure(stack);
  } finally {
    await stack.close();
  }
}

async function measureWorker(stack: Stack, events: readonly Earning[]): Promise<Measurement> {
  const redis = producerClient(stack.redisUrl, 'bench');
  await redisReady(redis);
  await fill(redis, events);
  const worker = await stack.startWorker();
  const warm = events.length * WARM_UP_SHARE;
  const { atMs: startMs, settled: before } = await reached(redis, 'events', warm);
  const used = watch({ worker: worker.pid, postgres: stack.postgresPid });
  const { atMs: endMs, settled } = await reached(redis, 'events', events.length);
  const seconds = (endMs - startMs) / 1000;
  const usage = used(seconds);
  redis.disconnect();
  return {
    perSecond: ((settled - before) * LEGS) / seconds,
    ...usage,
    doubts: await doubtsOf(stack, events.length),
  };
}

async function fill(redis: Redis, events: readonly Earning[]): Promise<void> {
  const appender = new Appender(redis, { bytesWaitingMax: 2 ** 30, entryEventsMax: 100 });
  for (let index = 0; index < events.length; index += FILL_EVENTS)
    await Promise.all(appendAll(appender, events.slice(index, index + FILL_EVENTS)));
}

/** Few enough that the loop turns between them: a command must not time out unsent. */
const FILL_EVENTS = 10_000;

function appendAll(appender: Appender, events: readonly Earning[]): Promise<number>[] {
  return events.map((earning) => {
    const { id } = earning;
    const data = earningData(earning);
    const tuple = encodeEvent(EarningCredited, { tenant: 1, id, acceptedAt: Date.now(), data });
    return appender.append('events', partitionOf(1, EarningCredited.orderKey(data)), tuple);
  });
}

async function doubtsOf(stack: Stack, expected: number): Promise<string[]> {
  const [row] = await stack.owner`
    select sum(posted)::int as posted, sum(refused)::int as refused from streams`;
  const { posted, refused } = row as { posted: number; refused: number };
  // A debit that comes before any credit of its user is refused, as it must be.
  return posted + refused === expected && refused < expected * 0.03
    ? []
    : [`of ${expected} events ${posted} were posted and ${refused} refused`];
}

async function measureBareSql(stack: Stack, events: readonly Earning[]): Promise<Measurement> {
  const batches = buildBatches(events, BATCH_EVENTS);
  const sql = connectPostgres(stack.databaseUrl, { max: 1, name: 'bare', asOwner: true });
  try {
    const warm = Math.ceil(batches.length * WARM_UP_SHARE);
    await writeBatches(sql, batches.slice(0, warm));
    const used = watch({ postgres: stack.postgresPid });
    const startMs = performance.now();
    await writeBatches(sql, batches.slice(warm));
    const seconds = (performance.now() - startMs) / 1000;
    const perSecond = ((batches.length - warm) * BATCH_EVENTS * LEGS) / seconds;
    return { perSecond, ...used(seconds) };
  } finally {
    await sql.end();
  }
}
