// What the worker that owns a partition does for its redemptions: releases those whose time is up,
// found in a sorted set (no key is polled), and opens the partition of a Redis that began anew.
// Invariant: an expired reservation is released once, with its event, and only while still reserved.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { partitionOf } from '../stream/topology.ts';
import { expiriesKey, lifeKey, partitionOfRedemption, redemptionOfKey } from './redemption-keys.ts';
import { type RebuildParts, warmCoupon } from './redemption-rebuild.ts';
import type { RedemptionRecord } from './redemption-record.ts';
import { RedemptionScripts } from './redemption-scripts.ts';
import { settleRecord } from './redemption-settle.ts';

const CODES_PAGE = 1_000;
/** What a batch of the Redis before may still be writing is in Postgres after this time. */
const QUARANTINE_MS = 500;

const scriptsOf = new WeakMap<Redis, RedemptionScripts>();
const emptySince = new Map<string, number>();

/** Call about twice a second for each partition owned. Gives how many were released. */
export async function expireReservations(
  { redis, sql }: { redis: Redis; sql: Sql },
  partition: number,
  limit: number,
): Promise<number> {
  let scripts = scriptsOf.get(redis);
  if (!scripts) {
    scripts = new RedemptionScripts(redis);
    scriptsOf.set(redis, scripts);
  }
  const parts = { scripts, sql };
  if (!(await redis.exists(lifeKey(partition)))) await openPartition(parts, partition);
  const due = await scripts.due(expiriesKey(partition), limit);
  const released = await Promise.all(due.map(({ key, record }) => expireOne(parts, key, record)));
  return released.filter(Boolean).length;
}

async function expireOne(
  parts: RebuildParts,
  key: string,
  record: string | null,
): Promise<boolean> {
  if (record === null) {
    await parts.scripts.redis.zrem(expiriesKey(partitionOfRedemption(redemptionOfKey(key))), key);
    return false;
  }
  const known = JSON.parse(record) as RedemptionRecord;
  const origin = { now: Date.now(), traceparent: null };
  const reply = await settleRecord(parts, redemptionOfKey(key), known, 'expired', origin);
  return reply.word === 'settled';
}

/**
 * Redis holds nothing of this partition: it is new, or lost what it had. Where redemptions were
 * recorded before, those still reserved are put back, so that they expire; codes that nobody holds
 * are put back when somebody asks for them.
 */
async function openPartition(parts: RebuildParts, partition: number): Promise<void> {
  const { scripts, sql } = parts;
  const [row] = await sql`select system_redemptions_exist() as history`;
  const history = row!['history'] as boolean;
  if (history && !quarantined(partition)) return;
  if (history) await warmReserved(parts, partition);
  const life = history ? 'with_history' : 'without_history';
  await scripts.redis.set(lifeKey(partition), life, 'NX');
  emptySince.delete(lifeKey(partition));
}

function quarantined(partition: number): boolean {
  const key = lifeKey(partition);
  const since = emptySince.get(key) ?? Date.now();
  emptySince.set(key, since);
  return Date.now() - since >= QUARANTINE_MS;
}

async function warmReserved(parts: RebuildParts, partition: number): Promise<void> {
  let [tenant, code] = [0, ''];
  for (;;) {
    const rows = await parts.sql`
      select * from system_reserved_codes(${tenant}, ${code}, ${CODES_PAGE})`;
    for (const row of rows) {
      tenant = row['tenant_id'] as number;
      code = row['code'] as string;
      if (partitionOf(tenant, code) === partition) await warmCoupon(parts, tenant, code);
    }
    if (rows.length < CODES_PAGE) return;
  }
}
