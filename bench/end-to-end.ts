// T4: from accepted to committed with everything on one machine. An open loop sends earnings at a
// given rate, the worker's own histogram says how long each took, `verify` says that none is
// missing. `--rate` and `--batch` set the rate of events and how many come in one request.
import { producerClient, redisReady } from '../src/io/redis.ts';
import { doubtsOfBooks, endToEnd, quantile, since, totalOf } from './lib/committed.ts';
import { allSettled } from './lib/progress.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, type Product, measureHttp, withProduct } from './lib/servers.ts';

const USERS = 100_000;
const CONNECTIONS = 256;

export function endToEndBench({ seconds, rate, batch }: BenchOptions): Comparison[] {
  const load: Load = {
    name: 'ingest',
    keys: USERS,
    batch,
    connections: CONNECTIONS,
    seconds,
    rate: rate / batch,
    expectedStatuses: [202],
  };
  const target = 'p99 < 50 ms at 5,000/s, < 100 ms at 25,000/s';
  return [
    {
      name: 'end-to-end',
      target: `${target}; here ${rate.toLocaleString('en')}/s in requests of ${batch}`,
      unit: 'events/s',
      figure: 'p99Ms',
      subject: () => withProduct({ worker: true }, (product) => measure(product, load)),
    },
  ];
}

async function measure({ server, stack, watched }: Product, load: Load): Promise<Measurement> {
  const redis = producerClient(stack.redisUrl, 'bench');
  await redisReady(redis);
  try {
    // Compiles the code and fills the caches of both processes; what is counted comes after it.
    await measureHttp(server, { ...load, seconds: 1 }, {});
    await allSettled(redis, 'events');
    const before = await endToEnd(stack);
    const accepted = await measureHttp(server, load, watched);
    await allSettled(redis, 'events');
    const committed = since(before, await endToEnd(stack));
    const ms = (fraction: number): number => quantile(committed, fraction) * 1000;
    return {
      ...accepted,
      ...{ p50Ms: ms(0.5), p95Ms: ms(0.95), p99Ms: ms(0.99) },
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
