// Compares the counters of coupons in Redis with the ledger's rows, a page of codes at a time.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import type { Problem } from '../store/verify.ts';
import { PARTITIONS, offsetKey, settledKey } from '../stream/topology.ts';
import { valuesOf } from './coupon-usage-read.ts';
import { couponKey } from './redemption-keys.ts';

const PAGE = 1_000;
const PROBLEMS_MAX = 20;
/** Events are on their way to the rows; what differs is looked at again, and again differs alike. */
const PATIENCE_MS = 2_000;

/** Codes whose counters differ from their rows while neither moves. */
export async function staleCounters(redis: Redis, sql: Sql): Promise<Problem[]> {
  const suspects = await differing(redis, sql);
  if (suspects.size === 0) return [];
  await Bun.sleep(PATIENCE_MS);
  // What is on a stream is in the counters and not in the rows: nothing can be said meanwhile.
  if (await anyPending(redis)) return [];
  const still = await differing(redis, sql);
  return [...still]
    .filter((detail) => suspects.has(detail))
    .slice(0, PROBLEMS_MAX)
    .map((detail) => ({ check: 'coupon_counters', detail }));
}

async function anyPending(redis: Redis): Promise<boolean> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const settled = await redis.mget(partitions.map((n) => settledKey('coupons', n)));
  const appended = await redis.mget(partitions.map((n) => offsetKey('coupons', n)));
  return partitions.some((n) => Number(appended[n] ?? 0) > Number(settled[n] ?? 0));
}

async function differing(redis: Redis, sql: Sql): Promise<Set<string>> {
  const found = new Set<string>();
  let [tenant, code] = [0, ''];
  for (;;) {
    const rows = await sql`select * from system_coupon_usage(${tenant}, ${code}, ${PAGE})`;
    const pipeline = redis.pipeline();
    for (const row of rows)
      pipeline.hmget(
        couponKey(row['tenant_id'] as number, row['code'] as string),
        'reserved',
        'redeemed',
        'budget_used',
      );
    const counters = rows.length > 0 ? valuesOf(await pipeline.exec()) : [];
    rows.forEach((row, index) => {
      [tenant, code] = [row['tenant_id'] as number, row['code'] as string];
      const cached = (counters[index] as (string | null)[]).join(' ');
      const recorded = [row['reserved'], row['redeemed'], row['budget_used']].map(String).join(' ');
      // Counters that Redis does not have are rebuilt before they are used.
      if (cached.trim() !== '' && cached !== recorded)
        found.add(`coupon ${code} of tenant ${tenant}: ${cached} in Redis, ${recorded} in rows`);
    });
    if (rows.length < PAGE) return found;
  }
}
