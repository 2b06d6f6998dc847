// What doctor looks at on the machine itself: disk, port, clock.
import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '../config.ts';
import { withRedis } from '../io/redis.ts';
import { portIsFree } from '../supervisor/ports.ts';
import { localUrl } from '../supervisor/plans.ts';

const FREE_BYTES_MIN = 2 * 1024 ** 3;
const SKEW_MS_MAX = 1_000;

export interface Check {
  name: string;
  ok: boolean;
  detail: string;
  /** What to do; empty when all is well. */
  fix: string;
}

export function diskCheck(home: string): Check {
  let dir = home;
  while (!existsSync(dir)) dir = dirname(dir);
  const { bavail, bsize } = statfsSync(dir);
  const free = bavail * bsize;
  const ok = free >= FREE_BYTES_MIN;
  return {
    name: 'disk',
    ok,
    detail: `${(free / 1024 ** 3).toFixed(1)} GiB free for ${home}`,
    fix: ok ? '' : 'free some space, or set TALLYRACE_HOME to a larger disk',
  };
}

export async function portCheck(config: Config): Promise<Check> {
  const { host, port } = config;
  const name = 'port';
  if (await portIsFree(port, host)) return { name, ok: true, detail: `${port} is free`, fix: '' };
  const signal = AbortSignal.timeout(2_000);
  const answer = await fetch(`${localUrl(config)}/livez`, { signal }).catch(() => null);
  if (answer?.ok) return { name, ok: true, detail: `${port}: an ingress answers`, fix: '' };
  const fix = 'stop what listens there, or set PORT';
  return { name, ok: false, detail: `${port} is used by another program`, fix };
}

/** Events carry this machine's time; Redis may be on another one. */
export async function clockCheck(redisUrl: string): Promise<Check> {
  const name = 'clock';
  try {
    const skewMs = await withRedis(redisUrl, 'doctor', skewOf, 2_000);
    const ok = skewMs < SKEW_MS_MAX;
    const fix = ok ? '' : 'let a time service such as chrony set the clocks of both machines';
    return { name, ok, detail: `${skewMs.toFixed(0)} ms apart from Redis`, fix };
  } catch {
    return { name, ok: false, detail: 'cannot be compared, Redis is away', fix: 'start Redis' };
  }
}

async function skewOf(client: Redis): Promise<number> {
  const before = Date.now();
  const [seconds, micros] = await client.time();
  return Math.abs(Number(seconds) * 1_000 + Number(micros) / 1_000 - before);
}
