// T4: from accepted to committed with everything on one machine. An open loop sends earnings at a
// given rate, the worker's own histogram says how long each took, `verify` says that none is
// missing. `--rate` and `--batch` set the rate of events and how many come in one request.
import { producerClient, redisReady } from '../src/io/redis.ts';
import { doubtsOfBooks, percentilesMs, since, totalOf, workerTimes } from './lib/committed.ts';
import { allSettled } from './lib/progress.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, type Product, measureHttp, withProduct } from './lib/servers.ts';

const USERS = 100_000;
const CONNECTIONS = 256;

interface Given {
  name: string;
  rate: number;
  batch: number;
  p99BelowMs?: number;
}

/** The two rates of the targets; the second is to be held for `--seconds 300`. */
const asTargeted: readonly Given[] = [
  { name: 'end-to-end', rate: 5_000, batch: 1, p99BelowMs: 50 },
  { name: 'end-to-end-fast', rate: 25_000, batch: 100, p99BelowMs: 100 },
];

export function endToEndBench({ seconds, rate, batch }: BenchOptions): Comparison[] {
  const given: readonly Given[] =
    rate === null ? asTargeted : [{ name: 'end-to-end-given', rate, batch }];
  return given.map((plan) => comparison(plan, seconds));
}

function comparison({ name, rate, batch, p99BelowMs }: Given, seconds: number): Comparison {
  const load: Load = {
    name: 'ingest',
    keys: USERS,
    batch,
    connections: CONNECTIONS,
    seconds,
    rate: rate / batch,
    expectedStatuses: [202],
  };
  return {
    name,
    target: `${rate.toLocaleString('en')} events/s in requests of ${batch}`,
    goals: p99BelowMs
      ? [
          { row: 'T4', figure: 'p99Ms', below: p99BelowMs },
          // An open loop that falls behind has not had the rate that it is about.
          { row: 'T4', figure: 'perSecond', atLeast: rate * 0.99 },
        ]
      : [],
    unit: 'events/s',
    figure: 'p99Ms',
    subject: () => withProduct({ worker: true }, (product) => measure(product, load)),
  };
}

async function measure({ server, stack, watched }: Product, load: Load): Promise<Measurement> {
  const redis = producerClient(stack.redisUrl, 'bench');
  await redisReady(redis);
  try {
    // Compiles the code and fills the caches of both processes; what is counted comes after it.
    await measureHttp(server, { ...load, seconds: 1 }, {});
    await allSettled(redis, 'events');
    const before = await workerTimes(stack, 'endToEnd');
    const accepted = await measureHttp(server, load, watched);
    await allSettled(redis, 'events');
    const committed = since(before, await workerTimes(stack, 'endToEnd'));
    return {
      ...accepted,
      ...percentilesMs(committed),
      timed: 'accepted to committed',
      doubts: [
        ...(accepted.doubts ?? []),
        ...(totalOf(committed) > 0 ? [] : ['the worker measured nothing']),
        ...(await doubtsOfBooks(stack)),
      ],
    };
  } finally {
    redis.disconnect();
  }
}
