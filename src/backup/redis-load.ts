// Puts from a snapshot what only Redis knows into an empty Redis: streams with their groups,
// offsets, and the answers of idempotency keys. The rest is made again from the ledger, which may
// know more than the snapshot: counters and reservations of coupons, cached balances. Limits of
// rate begin anew.
// Invariant: nothing is put where anything is.
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import { withRedis } from '../io/redis.ts';
import { launch } from '../supervisor/launch.ts';
import { findFreePort } from '../supervisor/ports.ts';
import { findRedis } from '../supervisor/redis-binary.ts';
import { ArchiveError, type ArchiveReader } from './archive.ts';

const KEYS_AT_ONCE = 200;
const READY_MS = 2_000;
const kept = new RegExp(`^\\{p\\d+\\}:(${topics.join('|')})(:offset)?$|^idempotency:`);

export async function requireEmptyRedis(redis: Redis): Promise<void> {
  const keys = await redis.dbsize();
  if (keys > 0)
    throw new ArchiveError(`Redis is not empty (${keys} keys); restore into one that is`);
}

/** Gives how many keys were put. */
export async function loadRedis(
  target: Redis,
  archive: ArchiveReader,
  file: string,
): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'tallyrace-restore-'));
  try {
    const snapshot = createWriteStream(join(dir, 'dump.rdb'), { mode: 0o600 });
    await pipeline(Readable.from(archive.bytes(file)), snapshot);
    return await withServerOf(dir, (source) => putAll(source, target));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A server that has read the snapshot, for as long as the action takes. */
async function withServerOf<T>(dir: string, action: (source: Redis) => Promise<T>): Promise<T> {
  const port = await findFreePort();
  const password = crypto.randomUUID();
  const url = `redis://:${password}@127.0.0.1:${port}`;
  const settings = [
    ...['bind 127.0.0.1', `port ${port}`, `requirepass ${password}`, `dir ${JSON.stringify(dir)}`],
    ...['appendonly no', 'save ""', 'dbfilename dump.rdb', 'daemonize no'],
  ];
  const file = join(dir, 'redis.conf');
  writeFileSync(file, `${settings.join('\n')}\n`, { mode: 0o600 });
  const using = <R>(use: (client: Redis) => Promise<R>): Promise<R> =>
    withRedis(url, 'restore', use, READY_MS);
  const running = await launch(
    {
      name: 'redis of the backup',
      command: [findRedis(() => {}), file],
      stopSignal: 'SIGKILL',
      stopWithinMs: 5_000,
      readyWithinMs: 600_000,
      probe: () => using((client) => client.ping()).then(() => {}),
      explain: () => null,
    },
    join(dir, 'redis.log'),
  );
  try {
    return await using(action);
  } finally {
    await running.stop();
  }
}

async function putAll(source: Redis, target: Redis): Promise<number> {
  let [cursor, count] = ['0', 0];
  do {
    const [next, found] = await source.scan(cursor, 'COUNT', KEYS_AT_ONCE);
    cursor = next;
    const keys = found.filter((key) => kept.test(key));
    await Promise.all(keys.map((key) => putOne(source, target, key)));
    count += keys.length;
  } while (cursor !== '0');
  return count;
}

async function putOne(source: Redis, target: Redis, key: string): Promise<void> {
  const [payload, ttlMs] = await Promise.all([source.dumpBuffer(key), source.pttl(key)]);
  // An answer whose time ran out meanwhile.
  if (!payload || ttlMs === -2) return;
  await target.restore(key, Math.max(0, ttlMs), payload);
}
