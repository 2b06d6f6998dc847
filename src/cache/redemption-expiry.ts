// What the worker that owns a partition does for its redemptions: releases those whose time is up,
// found in a sorted set (no key is polled), and opens the partition of a Redis that began anew.
// Invariant: an expired reservation is released once, with its event, and only while reserved.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { expiriesKey, lifeKey, partitionOfRedemption, redemptionOfKey } from './redemption-keys.ts';
import { openPartition } from './redemption-life.ts';
import type { RebuildParts } from './redemption-rebuild.ts';
import { redemptionFrom } from './redemption-record.ts';
import { RedemptionScripts } from './redemption-scripts.ts';
import { settleRecord } from './redemption-settle.ts';

/** A sale that ends may leave many at once; the rest waits for the next call. */
const ROUNDS_MAX = 8;

const scriptsOf = new WeakMap<Redis, RedemptionScripts>();

export interface ExpiryParts {
  redis: Redis;
  sql: Sql;
  /** Whether events that Redis gave out may still be on their way to Postgres. */
  isSettling?: () => boolean;
}

/** Call about twice a second for each partition owned, `limit` at a time. Gives how many went. */
export async function expireReservations(
  { redis, sql, isSettling = () => false }: ExpiryParts,
  partition: number,
  limit: number,
): Promise<number> {
  let scripts = scriptsOf.get(redis);
  if (!scripts) {
    scripts = new RedemptionScripts(redis);
    scriptsOf.set(redis, scripts);
  }
  const parts = { scripts, sql };
  // What we hold of the Redis before is in no row yet: a count of the rows would miss it.
  if (!(await redis.exists(lifeKey(partition))) && !isSettling())
    await openPartition(parts, partition);
  let total = 0;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const due = await scripts.due(expiriesKey(partition), limit);
    const released = await Promise.all(due.map(({ key, text }) => expireOne(parts, key, text)));
    total += released.filter(Boolean).length;
    if (due.length < limit) break;
  }
  return total;
}

async function expireOne(parts: RebuildParts, key: string, text: string | null): Promise<boolean> {
  const id = redemptionOfKey(key);
  if (text === null) {
    await parts.scripts.redis.zrem(expiriesKey(partitionOfRedemption(id)), key);
    return false;
  }
  const { record } = redemptionFrom(id, text);
  const origin = { now: Date.now(), traceparent: null };
  const reply = await settleRecord(parts, id, record, 'expired', origin);
  return reply.word === 'settled';
}
