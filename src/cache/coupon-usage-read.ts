// The exact usage of codes now: from the counters in Redis, or from the rows in Postgres for codes
// whose counters Redis does not have.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { textArray } from '../store/columns.ts';
import { partitionOf } from '../stream/topology.ts';
import { couponKey, lifeKey } from './redemption-keys.ts';

export interface UsageRow {
  reserved: number;
  redeemed: number;
  budgetUsed: number;
}

/** One for each of the codes, in their order. */
export async function readUsage(
  redis: Redis,
  sql: Sql,
  tenant: number,
  codes: readonly string[],
): Promise<UsageRow[]> {
  const pipeline = redis.pipeline();
  for (const code of codes) {
    pipeline.get(lifeKey(partitionOf(tenant, code)));
    pipeline.hmget(couponKey(tenant, code), 'reserved', 'redeemed', 'budget_used');
  }
  const replies = valuesOf(await pipeline.exec());
  const usage = codes.map((_, index): UsageRow | null => {
    const life = replies[index * 2];
    const [reserved, redeemed, budgetUsed] = replies[index * 2 + 1] as (string | null)[];
    if (reserved === null && !isNew(life as string | null)) return null;
    return {
      reserved: Number(reserved ?? 0),
      redeemed: Number(redeemed ?? 0),
      budgetUsed: Number(budgetUsed ?? 0),
    };
  });
  const missing = codes.filter((_, index) => usage[index] === null);
  if (missing.length === 0) return usage as UsageRow[];
  const rows = await usageRows(
    sql,
    missing.map((code) => ({ tenant, code })),
  );
  return usage.map((known) => known ?? rows.shift()!);
}

/** What the rows in Postgres say; one for each of the codes, in their order. */
export async function usageRows(
  sql: Sql,
  codes: readonly { tenant: number; code: string }[],
): Promise<UsageRow[]> {
  const tenants = `{${codes.map(({ tenant }) => tenant).join(',')}}`;
  const rows = await sql`
    select * from coupon_usage(${tenants}::text::int[],
      ${textArray(codes.map(({ code }) => code))}::text::text[])`;
  return rows.map((row) => ({
    reserved: Number(row['reserved']),
    redeemed: Number(row['redeemed']),
    budgetUsed: Number(row['budget_used']),
  }));
}

/** Whether nothing was redeemed before this life: what is not here was never used. */
export function isNew(life: string | null): boolean {
  return life?.startsWith('without_history') === true;
}

/** The results of a pipeline; throws the first error among them. */
export function valuesOf(replies: [error: Error | null, result: unknown][] | null): unknown[] {
  return (replies ?? []).map(([error, result]) => {
    if (error) throw error;
    return result;
  });
}
