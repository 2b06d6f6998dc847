// What one run after the other uses: a Postgres and a Redis of its own, in a directory of its own.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { PostgresVictim, RedisVictim } from './servers.ts';

export class Slot {
  private constructor(
    readonly dir: string,
    readonly postgres: PostgresVictim,
    readonly redis: RedisVictim,
  ) {}

  static async open(): Promise<Slot> {
    const dir = mkdtempSync(join(tmpdir(), 'tallyrace-faults-'));
    mkdirSync(join(dir, 'redis'), { recursive: true });
    const postgres = await PostgresVictim.make(join(dir, 'postgres'));
    const redis = new RedisVictim(join(dir, 'redis'), await findFreePort());
    await redis.start();
    return new Slot(dir, postgres, redis);
  }

  /** `keep`: the logs of runs that failed stay. */
  async close(keep = false): Promise<void> {
    await Promise.all([this.postgres.stop(), this.redis.stop()]);
    for (const part of keep ? ['postgres', 'redis'] : ['.'])
      rmSync(join(this.dir, part), { recursive: true, force: true });
  }
}
