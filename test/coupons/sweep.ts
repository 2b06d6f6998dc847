// What a worker does for redemptions about twice a second, without a worker: for tests and benches
// that have none.
import type { Redis } from 'ioredis';
import { expireReservations } from '../../src/cache/redemption-expiry.ts';
import { RedemptionLife } from '../../src/cache/redemption-life.ts';
import { RedemptionScripts } from '../../src/cache/redemption-scripts.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { createLog } from '../../src/io/log.ts';
import { PARTITIONS } from '../../src/stream/topology.ts';
import type { Stack } from '../services.ts';

/** As one that owns everything and has nothing in hand. Gives how many reservations expired. */
export async function sweep(redis: Redis, { sql }: Pick<Stack, 'sql'>): Promise<number> {
  const parts = { scripts: new RedemptionScripts(redis), sql };
  const log = createLog('sweep', 'fatal');
  const rows = await sql`select * from redemption_positions()`;
  const settled = new Map(rows.map((row) => [row['stream'] as string, Number(row['settled'])]));
  const owned = Array.from({ length: PARTITIONS }, (_, partition) => ({
    partition,
    settled: settled.get(`coupons.${partition}`) ?? 0,
    held: () => [],
    holdsAny: () => false,
  }));
  const life = new RedemptionLife({ ...parts, log, dropReads() {} });
  if (!(await life.tend(owned))) return 0;
  let released = 0;
  for (const { partition } of owned) released += await expireReservations(parts, partition, 500);
  return released;
}

/** Where no worker runs, nobody else says that the counters may be used. */
export async function openCounters(stack: Pick<Stack, 'redisUrl' | 'sql'>): Promise<void> {
  const redis = producerClient(stack.redisUrl, 'opener');
  await redisReady(redis);
  await sweep(redis, stack);
  redis.disconnect();
}
