// What Redis holds of coupons beside the ledger's rows: counters of codes, counts of customers,
// and redemptions. What is on a stream is in Redis and not yet in the rows, so only a moment counts
// in which nothing was.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { numberArray, textArray } from '../store/columns.ts';
import { type CacheCheck, type Difference, staleCaches } from '../store/verify-caches.ts';
import { PARTITIONS, offsetKey, settledKey } from '../stream/topology.ts';
import { usageRows, valuesOf } from './coupon-usage-read.ts';
import { redemptionOfKey } from './redemption-keys.ts';
import { redemptionFrom } from './redemption-record.ts';

const COUNTERS = /^\{p\d\d\}:coupon:(\d+):([^:]+)$/;
const CUSTOMERS = /^\{p\d\d\}:coupon:(\d+):([^:]+):customers$/;
const REDEMPTION = /^\{p\d\d\}:redemption:rdm_/;
const PAGE = 1_000;

/** Counters of a code beside its rows, and the rows beside the account that counts its uses. */
const counters: CacheCheck = {
  check: 'coupon_counters',
  covers: (key) => COUNTERS.test(key),
  restsAt,
  async differing(redis, sql, keys) {
    if (keys.length === 0) return [];
    const codes = keys.map((key) => codeOf(COUNTERS, key));
    const pipeline = redis.pipeline();
    for (const key of keys) pipeline.hmget(key, 'reserved', 'redeemed', 'budget_used');
    const cached = valuesOf(await pipeline.exec()) as (string | null)[][];
    const rows = await usageRows(sql, codes);
    const uses = await usesInLedger(sql, codes);
    return keys.flatMap((key, index) => {
      const { tenant, code } = codes[index]!;
      const { reserved, redeemed, budgetUsed } = rows[index]!;
      const held = cached[index]!.join(' ');
      const recorded = `${reserved} ${redeemed} ${budgetUsed}`;
      const of = `coupon ${code} of tenant ${tenant}`;
      const ledger = uses.get(`${tenant} ${code}`) ?? 0;
      const found: Difference[] = [];
      // Counters that Redis does not have are rebuilt before they are used.
      if (held.trim() !== '' && held !== recorded)
        found.push({ key, detail: `${of}: ${held} in Redis, ${recorded} in rows (key ${key})` });
      if (reserved + redeemed !== ledger)
        found.push({ key, detail: `${of}: ${reserved + redeemed} uses in rows, ${ledger} posted` });
      return found;
    });
  },
};

const customers: CacheCheck = {
  check: 'coupon_customers',
  covers: (key) => CUSTOMERS.test(key),
  restsAt,
  async differing(redis, sql, keys) {
    const found: Difference[] = [];
    for (const key of keys) {
      const { tenant, code } = codeOf(CUSTOMERS, key);
      let cursor = '0';
      do {
        const [next, fields] = await redis.hscan(key, cursor, 'COUNT', PAGE);
        cursor = next;
        const held = new Map<string, number>();
        for (let i = 0; i < fields.length; i += 2) held.set(fields[i]!, Number(fields[i + 1]));
        const rows = await sql`
          select * from coupon_customers_uses(${tenant}, ${code},
            ${textArray([...held.keys()])}::text::text[])`;
        for (const row of rows) {
          const customer = row['customer'] as string;
          const uses = Number(row['uses']);
          if (held.get(customer) === uses) continue;
          const of = `customer ${customer} of coupon ${code} of tenant ${tenant}`;
          const detail = `${of}: ${held.get(customer)} uses in Redis, ${uses} in rows (key ${key})`;
          found.push({ key, detail });
        }
      } while (cursor !== '0');
    }
    return found;
  },
};

const redemptions: CacheCheck = {
  check: 'redemptions',
  covers: (key) => REDEMPTION.test(key),
  restsAt,
  async differing(redis, sql, keys) {
    if (keys.length === 0) return [];
    const texts = await redis.mget(...keys);
    const ids = keys.map((key) => redemptionOfKey(key).slice('rdm_'.length));
    const rows = await sql`
      select * from system_redemptions_of(${textArray(ids)}::text::uuid[])`;
    const recorded = new Map(
      rows.map((row) => [`${row['id'] as string} ${row['code'] as string}`, row['status']]),
    );
    return keys.flatMap((key, index) => {
      const text = texts[index];
      if (typeof text !== 'string') return [];
      const { id, status, record } = redemptionFrom(redemptionOfKey(key), text);
      return record.uses.flatMap(({ code }): Difference[] => {
        const row = recorded.get(`${ids[index]} ${code}`) as string | undefined;
        if (row === status) return [];
        const inRows = row === undefined ? 'has no row' : `is ${row} in its row`;
        const of = `redemption ${id} of coupon ${code} of tenant ${record.tenant}`;
        return [{ key, detail: `${of}: is ${status} in Redis and ${inRows} (key ${key})` }];
      });
    });
  },
};

export const couponChecks: readonly CacheCheck[] = [counters, customers, redemptions];

/** Of every key there is. */
export function staleCounters(redis: Redis, sql: Sql) {
  return staleCaches(redis, sql, couponChecks, true);
}

function codeOf(form: RegExp, key: string): { tenant: number; code: string } {
  const [, tenant, code] = form.exec(key)!;
  return { tenant: Number(tenant), code: code! };
}

async function usesInLedger(
  sql: Sql,
  codes: readonly { tenant: number; code: string }[],
): Promise<Map<string, number>> {
  const rows = await sql`
    select tenant_id, account, balance from system_balances_of(
      ${numberArray(codes.map(({ tenant }) => tenant))}::text::int[],
      ${textArray(codes.map(({ code }) => `coupon:${code}:uses`))}::text::text[])`;
  return new Map(
    rows.map((row) => {
      const code = (row['account'] as string).split(':')[1]!;
      return [`${row['tenant_id'] as number} ${code}`, Number(row['balance'])];
    }),
  );
}

/** What was appended, if all of it is settled. */
async function restsAt(redis: Redis): Promise<string | null> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const settled = await redis.mget(partitions.map((n) => settledKey('coupons', n)));
  const appended = await redis.mget(partitions.map((n) => offsetKey('coupons', n)));
  const rests = partitions.every((n) => Number(appended[n] ?? 0) <= Number(settled[n] ?? 0));
  return rests ? appended.join(' ') : null;
}
