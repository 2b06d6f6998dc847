// The Redis and the Postgres of a run: those of any test, or, where they are to be killed, servers
// of its own that come back on the same port with what their disks hold.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { preparePostgres } from '../../src/supervisor/postgres.ts';
import { RedisVictim, Victim } from '../faults/servers.ts';
import { openServices } from '../services.ts';

export interface Ground {
  environment: Record<string, string>;
  /** As the owner of the database, who sees everything. */
  owner: Sql;
  /** Empty where the servers are not ours to kill. */
  victims: Partial<Record<'redis' | 'postgres', Victim>>;
  close(): Promise<void>;
}

export async function openGround(name: string, own: boolean): Promise<Ground> {
  if (own) return await ownGround(name);
  const { environment, owner, close } = await openServices(name);
  return { environment, owner, victims: {}, close };
}

async function ownGround(name: string): Promise<Ground> {
  const home = mkdtempSync(join(tmpdir(), `tallyrace-${name}-`));
  mkdirSync(join(home, 'run'));
  const [dir, log] = [join(home, 'postgres'), join(home, 'postgres.log')];
  const { plan, url } = preparePostgres({ dir, log, port: await findFreePort() });
  const postgres = new Victim(plan, log);
  const redis = new RedisVictim(join(home, 'redis'), await findFreePort());
  const stopServers = async (): Promise<void> => {
    await Promise.all([redis.stop(), postgres.stop()]);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    await Promise.all([postgres.start(), redis.start()]);
    await migrate(url);
  } catch (error) {
    await stopServers();
    throw error;
  }
  const owner = connectPostgres(url, { max: 4, name: `test ${name}`, asOwner: true });
  return {
    environment: {
      DATABASE_URL: url,
      REDIS_URL: redis.url,
      TALLYRACE_HOME: home,
      LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'error',
      TALLYRACE_SECRETS_KEY: Buffer.alloc(32, name).toString('base64'),
    },
    owner,
    victims: { redis, postgres },
    async close() {
      await owner.end({ timeout: 2 });
      await stopServers();
    },
  };
}
