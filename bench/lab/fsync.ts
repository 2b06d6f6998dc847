// `npm run bench -- fsync [--seconds n] [--rounds n]`: what it costs that Redis has every event on
// disk before it is answered. The product with appendfsync `always`, as it is run, against the same
// with `everysec`.
import { producerClient, redisReady } from '../../src/io/redis.ts';
import type { Stack } from '../../test/services.ts';
import { readOptions } from '../lib/arguments.ts';
import { type Comparison, ROUNDS, compare, printReport, saveReport } from '../lib/rounds.ts';
import { type Load, measureHttp, withProduct } from '../lib/servers.ts';

const USERS = 100_000;
const CONNECTIONS = 512;

export async function fsyncBench(args: readonly string[]): Promise<number> {
  const { seconds, rounds } = readOptions(args, { seconds: 4, rounds: ROUNDS });
  for (const batch of [1, 100]) {
    const report = await compare(comparison(batch, seconds), rounds);
    printReport(report);
    await saveReport(report);
  }
  return 0;
}

function comparison(batch: number, seconds: number): Comparison {
  const load: Load = {
    name: 'ingest',
    keys: USERS,
    batch,
    connections: batch === 1 ? CONNECTIONS : CONNECTIONS / 8,
    seconds,
    expectedStatuses: [202],
  };
  const measure = (appendfsync: string) => () =>
    withProduct({ prepare: (stack) => setFsync(stack, appendfsync) }, ({ server, watched }) =>
      measureHttp(server, load, watched),
    );
  return {
    name: batch === 1 ? 'fsync' : 'fsync-batch',
    target: 'limit: everysec',
    goals: [],
    unit: 'events/s',
    subject: measure('always'),
    limit: measure('everysec'),
  };
}

async function setFsync({ redisUrl }: Stack, appendfsync: string): Promise<void> {
  const redis = producerClient(redisUrl, 'bench');
  await redisReady(redis);
  await redis.config('SET', 'appendfsync', appendfsync);
  redis.disconnect();
}
