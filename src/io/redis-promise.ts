// What Redis promises of a write that it has answered, by its own settings: asked at start, and by
// doctor. Hosted servers may not tell; then the reader has to look.
import type { Redis } from 'ioredis';

/** The value; null where this server does not tell. */
export async function redisSetting(redis: Redis, setting: string): Promise<string | null> {
  const answer = await redis.config('GET', setting).catch(() => null);
  return Array.isArray(answer) && answer[1] !== undefined ? String(answer[1]) : null;
}

/** What a crash may cost of what was acknowledged, as a sentence; null for nothing. */
export async function weaknessOf(redis: Redis): Promise<string | null> {
  const [appendonly, appendfsync] = await Promise.all([
    redisSetting(redis, 'appendonly'),
    redisSetting(redis, 'appendfsync'),
  ]);
  if (appendonly === 'no')
    return 'appendonly is no: when Redis ends, every accepted event that is not settled is lost';
  if (appendfsync === 'no')
    return 'appendfsync is no: a power cut loses what was accepted in the last half minute or so';
  if (appendfsync === 'everysec')
    return 'appendfsync is everysec: a crash may lose what was accepted in the last two seconds';
  return null;
}

/** Replicas that are connected and follow. Null where this server is one itself. */
export async function replicasOnline(redis: Redis): Promise<number | null> {
  const info = await redis.info('replication');
  if (!/^role:master/m.test(info)) return null;
  return (info.match(/^slave\d+:.*state=online/gm) ?? []).length;
}
