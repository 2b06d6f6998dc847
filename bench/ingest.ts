// T2: events into Redis, one per request and 100 per request, against the same micro-batched
// appends behind a bare Elysia. No worker runs: this is the ingress alone.
import { openServices } from '../test/services.ts';
import type { Goal } from './lib/goals.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, measureHttp, startBare, withProduct } from './lib/servers.ts';

const USERS = 100_000;
/** An answer waits for Redis to have the event on disk, so it takes many to keep the server busy. */
const CONNECTIONS = { single: 512, batched: 64 };

export function ingestBench({ seconds }: BenchOptions): Comparison[] {
  return [
    comparison('ingest', 1, seconds, { row: 'T2', figure: 'ratio', atLeast: 0.7 }),
    comparison('ingest-batch', 100, seconds, { row: 'T2', figure: 'perSecond', atLeast: 300_000 }),
  ];
}

function comparison(name: string, batch: number, seconds: number, goal: Goal): Comparison {
  const load: Load = {
    name: 'ingest',
    keys: USERS,
    batch,
    connections: batch === 1 ? CONNECTIONS.single : CONNECTIONS.batched,
    seconds,
    expectedStatuses: [202],
  };
  return {
    name,
    goals: [goal],
    unit: 'events/s',
    subject: () => withProduct({}, ({ server, watched }) => measureHttp(server, load, watched)),
    limit: () => measureBare(load),
  };
}

async function measureBare(load: Load): Promise<Measurement> {
  const stack = await openServices('bench');
  try {
    const bare = await startBare('bare-ingest.ts', stack.redisUrl);
    return await measureHttp(bare, load, { redis: stack.redisPid }).finally(() => bare.stop());
  } finally {
    await stack.close();
  }
}
