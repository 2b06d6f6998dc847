// What the worker that owns a partition does for its redemptions: releases those whose time is up,
// found in a sorted set (no key is polled).
// Invariant: an expired reservation is released once, with its event, and only while reserved.
import { expiriesKey, partitionOfRedemption, redemptionOfKey } from './redemption-keys.ts';
import type { RebuildParts } from './redemption-rebuild.ts';
import { redemptionFrom } from './redemption-record.ts';
import { settleRecord } from './redemption-settle.ts';

/** A sale that ends may leave many at once; the rest waits for the next call. */
const ROUNDS_MAX = 8;

/** Call about twice a second for each partition owned, `limit` at a time. Gives how many went. */
export async function expireReservations(
  parts: RebuildParts,
  partition: number,
  limit: number,
): Promise<number> {
  const { scripts } = parts;
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
