// Compares what Redis holds with what it is rebuilt from: one walk over the keys, a page at a time.
// A large Redis is walked a part each run, from where the last one ended.
// Invariant: nothing is named that is only on its way: either two further looks find it alike, a
// moment later each, or nothing moved during one.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';

/** What is off, and exactly where. */
export interface Problem {
  check: string;
  detail: string;
}

export interface Difference {
  key: string;
  /** Says what Redis holds and what it should: a suspect is the same twice. */
  detail: string;
}

/** How one kind of key is compared. */
export interface CacheCheck {
  check: string;
  covers(key: string): boolean;
  differing(redis: Redis, sql: Sql, keys: readonly string[]): Promise<Difference[]>;
  /** For what may come back to the same value: a position while nothing is on its way, else null. */
  restsAt?(redis: Redis): Promise<string | null>;
}

export interface CacheProblem extends Problem {
  total: number;
}

/** A write to a cache follows its commit by milliseconds; guess: this is patience enough. */
const PATIENCE_MS = 1_000;
const FURTHER_LOOKS = 2;
/** How long a moment is waited for in which nothing moves. */
const REST_MS = 5_000;
const REST_POLL_MS = 20;
const PAGE = 1_000;
/** Some five seconds' worth; more only when all is asked for. */
const KEYS_A_RUN_MAX = 200_000;
/** Enough to name some of each and to say how many there are. */
const SUSPECTS_MAX = 10_000;
const CURSOR_KEY = 'tallyrace:verify:cursor';

export async function staleCaches(
  redis: Redis,
  sql: Sql,
  checks: readonly CacheCheck[],
  full = false,
): Promise<CacheProblem[]> {
  const suspects = await walk(redis, sql, checks, full);
  const problems: CacheProblem[] = [];
  for (const [check, first] of suspects) {
    const still = await lookAgain(redis, sql, check, first);
    for (const { detail } of still)
      problems.push({ check: check.check, detail, total: still.length });
  }
  return problems;
}

async function lookAgain(
  redis: Redis,
  sql: Sql,
  check: CacheCheck,
  suspects: readonly Difference[],
): Promise<readonly Difference[]> {
  if (suspects.length === 0) return [];
  const keys = [...new Set(suspects.map(({ key }) => key))];
  const look = () => differing(redis, sql, check, keys);
  if (check.restsAt) return await lookAtRest(() => check.restsAt!(redis), look);
  let still = suspects;
  for (let n = 0; n < FURTHER_LOOKS && still.length > 0; n++) {
    await Bun.sleep(PATIENCE_MS);
    const before = new Set(still.map(({ detail }) => detail));
    still = (await look()).filter(({ detail }) => before.has(detail));
  }
  return still;
}

/** Finds nothing where nothing ever rests: then nothing can be said. */
async function lookAtRest(
  position: () => Promise<string | null>,
  look: () => Promise<Difference[]>,
): Promise<readonly Difference[]> {
  const deadline = Date.now() + REST_MS;
  do {
    const before = await position();
    if (before !== null) {
      const found = await look();
      if ((await position()) === before) return found;
    }
    await Bun.sleep(REST_POLL_MS);
  } while (Date.now() < deadline);
  return [];
}

async function walk(redis: Redis, sql: Sql, checks: readonly CacheCheck[], full: boolean) {
  const found = new Map<CacheCheck, Difference[]>(checks.map((check) => [check, []]));
  let cursor = full ? '0' : ((await redis.get(CURSOR_KEY)) ?? '0');
  let seen = 0;
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', PAGE);
    cursor = next;
    seen += keys.length;
    for (const check of checks) {
      const some = found.get(check)!;
      const covered = keys.filter((key) => check.covers(key));
      if (some.length < SUSPECTS_MAX)
        some.push(...(await differing(redis, sql, check, [...new Set(covered)])));
    }
  } while (cursor !== '0' && (full || seen < KEYS_A_RUN_MAX));
  if (!full) await redis.set(CURSOR_KEY, cursor);
  return found;
}

async function differing(
  redis: Redis,
  sql: Sql,
  check: CacheCheck,
  keys: readonly string[],
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (let from = 0; from < keys.length; from += PAGE)
    found.push(...(await check.differing(redis, sql, keys.slice(from, from + PAGE))));
  return found;
}
