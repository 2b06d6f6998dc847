// How far the ledger has come with a topic, as its workers announce it.
import type { Redis } from 'ioredis';
import type { Topic } from '../../schemas/events.ts';
import { PARTITIONS, offsetKey, settledKey } from '../../src/stream/topology.ts';

const STALLED_MS = 60_000;

/** Waits until so many events are settled; throws when none is for a minute. */
export async function reached(
  redis: Redis,
  topic: Topic,
  count: number,
  onSettled: (settled: number) => void = () => {},
): Promise<{ atMs: number; settled: number }> {
  let [before, movedMs] = [-1, 0];
  for (;;) {
    const settled = await settledTo(redis, topic);
    const atMs = performance.now();
    if (settled > before) [before, movedMs] = [settled, atMs];
    onSettled(settled);
    if (settled >= count) return { atMs, settled };
    if (atMs - movedMs > STALLED_MS) throw new Error(`the worker stalls at ${settled} of ${count}`);
    await Bun.sleep(5);
  }
}

/** Waits until everything appended so far is settled; gives how much that is. */
export async function allSettled(redis: Redis, topic: Topic): Promise<number> {
  const appended = await appendedTo(redis, topic);
  await reached(redis, topic, appended);
  return appended;
}

/** Events ever appended. */
export function appendedTo(redis: Redis, topic: Topic): Promise<number> {
  return sumOver(redis, (partition) => offsetKey(topic, partition));
}

/** Of those, what the ledger has accounted for. */
export function settledTo(redis: Redis, topic: Topic): Promise<number> {
  return sumOver(redis, (partition) => settledKey(topic, partition));
}

async function sumOver(redis: Redis, keyOf: (partition: number) => string): Promise<number> {
  const keys = Array.from({ length: PARTITIONS }, (_, partition) => keyOf(partition));
  const values = await redis.mget(...keys);
  return values.reduce((sum, value) => sum + Number(value ?? 0), 0);
}
