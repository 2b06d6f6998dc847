// Compares the balance cache with the ledger, a page of accounts at a time.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { PARTITIONS, hashTag } from '../stream/topology.ts';
import { numberArray, textArray } from './columns.ts';

/** What is off, and exactly where. */
export interface Problem {
  check: string;
  detail: string;
}

interface CachedBalance {
  /** Tenant, account and unit, and what the cache says of them: a suspect is the same twice. */
  name: string;
  tenant: number;
  account: string;
  unit: string;
  balance: number;
  sequence: number;
}

/** A write to the cache follows its commit by milliseconds; guess: this is patience enough. */
const PATIENCE_MS = 2_000;
const PAGE = 1_000;
/** Fields of a cached account that are not units: generation, claim, complete. */
const MARKS: ReadonlySet<string> = new Set(['#', '?', '*']);
const PROBLEMS_MAX = 20;

/** Balances in the cache that differ from the ledger's, and still do so a moment later. */
export async function staleBalances(redis: Redis, sql: Sql): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (let partition = 0; partition < PARTITIONS && problems.length < PROBLEMS_MAX; partition++) {
    const suspects = await differing(redis, sql, partition);
    if (suspects.size === 0) continue;
    await Bun.sleep(PATIENCE_MS);
    for (const [name, detail] of await differing(redis, sql, partition))
      if (suspects.has(name)) problems.push({ check: 'balance_cache', detail });
  }
  return problems.slice(0, PROBLEMS_MAX);
}

async function differing(redis: Redis, sql: Sql, partition: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const prefix = `${hashTag(partition)}:balances:`;
  const generation = (await redis.get(`${prefix}generation`)) ?? '';
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', PAGE);
    cursor = next;
    const accounts = keys.filter((key) => /:balances:\d+:/.test(key));
    const cached = await cachedIn(redis, accounts, prefix, generation);
    for (const [name, detail] of await compare(sql, cached)) found.set(name, detail);
  } while (cursor !== '0');
  return found;
}

async function cachedIn(
  redis: Redis,
  keys: readonly string[],
  prefix: string,
  generation: string,
): Promise<CachedBalance[]> {
  if (keys.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.hgetall(key);
  const replies = (await pipeline.exec()) ?? [];
  return keys.flatMap((key, index) => {
    const hash = (replies[index]?.[1] ?? {}) as Record<string, string>;
    // Another generation is not served, so it cannot be wrong.
    if (hash['#'] !== generation) return [];
    const rest = key.slice(prefix.length);
    const tenant = Number(rest.slice(0, rest.indexOf(':')));
    const account = rest.slice(rest.indexOf(':') + 1);
    return Object.entries(hash)
      .filter(([unit]) => !MARKS.has(unit))
      .map(([unit, value]) => {
        const [sequence, balance] = value.split(':').map(Number);
        const name = `${tenant} ${account} ${unit} ${value}`;
        return { name, tenant, account, unit, balance: balance!, sequence: sequence! };
      });
  });
}

async function compare(sql: Sql, cached: readonly CachedBalance[]): Promise<Map<string, string>> {
  const differences = new Map<string, string>();
  if (cached.length === 0) return differences;
  const rows = await sql`
    select distinct * from system_balances_of(
      ${numberArray(cached.map(({ tenant }) => tenant))}::text::int[],
      ${textArray(cached.map(({ account }) => account))}::text::text[])`;
  const ledger = new Map(
    rows.map((row) => [
      `${row['tenant_id'] as number} ${row['account'] as string} ${row['unit'] as string}`,
      { balance: Number(row['balance']), sequence: Number(row['sequence']) },
    ]),
  );
  for (const { name, tenant, account, unit, balance, sequence } of cached) {
    const held = ledger.get(`${tenant} ${account} ${unit}`) ?? { balance: 0, sequence: 0 };
    if (held.balance === balance && held.sequence === sequence) continue;
    differences.set(
      name,
      `account ${account} tenant ${tenant} unit ${unit}: cached ${balance} at sequence ` +
        `${sequence}, the ledger has ${held.balance} at ${held.sequence}`,
    );
  }
  return differences;
}
