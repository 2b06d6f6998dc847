// The balance cache beside the ledger. A hash of another generation is not served, so it cannot be
// wrong.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { numberArray, textArray } from './columns.ts';
import type { CacheCheck, Difference } from './verify-caches.ts';

interface CachedBalance {
  key: string;
  tenant: number;
  account: string;
  unit: string;
  balance: number;
  sequence: number;
}

const FORM = /^(\{p\d\d\}:balances:)(\d+):(.+)$/;
/** Fields of a cached account that are not units: generation, claim, complete. */
const MARKS: ReadonlySet<string> = new Set(['#', '?', '*']);

export const balanceCache: CacheCheck = {
  check: 'balance_cache',
  covers: (key) => FORM.test(key),
  async differing(redis, sql, keys) {
    const cached = await cachedIn(redis, keys);
    const ledger = await balancesOf(sql, cached);
    return cached.flatMap((one): Difference[] => {
      const { key, tenant, account, unit, balance, sequence } = one;
      const held = ledger.get(nameOf(one)) ?? { balance: 0, sequence: 0 };
      if (held.balance === balance && held.sequence === sequence) return [];
      const detail =
        `account ${account} tenant ${tenant} unit ${unit} (key ${key}): cached ${balance} at ` +
        `sequence ${sequence}, the ledger has ${held.balance} at ${held.sequence}`;
      return [{ key, detail }];
    });
  },
};

function nameOf({ tenant, account, unit }: Pick<CachedBalance, 'tenant' | 'account' | 'unit'>) {
  return `${tenant} ${account} ${unit}`;
}

async function cachedIn(redis: Redis, keys: readonly string[]): Promise<CachedBalance[]> {
  if (keys.length === 0) return [];
  const prefixes = [...new Set(keys.map((key) => FORM.exec(key)![1]!))];
  const current = await redis.mget(prefixes.map((prefix) => `${prefix}generation`));
  const generations = new Map(prefixes.map((prefix, index) => [prefix, current[index] ?? '0']));
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.hgetall(key);
  const replies = (await pipeline.exec()) ?? [];
  return keys.flatMap((key, index) => {
    const [, prefix, tenant, account] = FORM.exec(key)!;
    const hash = (replies[index]?.[1] ?? {}) as Record<string, string>;
    if (hash['#'] !== generations.get(prefix!)) return [];
    return Object.entries(hash)
      .filter(([unit]) => !MARKS.has(unit))
      .map(([unit, value]) => {
        const [sequence, balance] = value.split(':').map(Number);
        const [known, held] = [{ key, tenant: Number(tenant), account: account! }, { unit }];
        return { ...known, ...held, balance: balance!, sequence: sequence! };
      });
  });
}

async function balancesOf(sql: Sql, cached: readonly CachedBalance[]) {
  if (cached.length === 0) return new Map<string, { balance: number; sequence: number }>();
  const rows = await sql`
    select distinct * from system_balances_of(
      ${numberArray(cached.map(({ tenant }) => tenant))}::text::int[],
      ${textArray(cached.map(({ account }) => account))}::text::text[])`;
  return new Map(
    rows.map((row) => {
      const [tenant, account] = [row['tenant_id'] as number, row['account'] as string];
      const name = nameOf({ tenant, account, unit: row['unit'] as string });
      return [name, { balance: Number(row['balance']), sequence: Number(row['sequence']) }];
    }),
  );
}
