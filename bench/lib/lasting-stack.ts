// A stack that lasts: servers on a directory that is kept, so that what took long to load is there
// the next time. Invariant: whatever ends the process ends the servers too, and loses nothing.
import { join, resolve } from 'node:path';
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { makeHome, serverPorts } from '../../src/supervisor/home.ts';
import { lockHome } from '../../src/supervisor/lock.ts';
import { startPostgres } from '../../src/supervisor/postgres.ts';
import { startRedis } from '../../src/supervisor/redis.ts';
import { type Started, startProcess } from '../../test/processes.ts';
import { createTenant } from '../../test/tenants.ts';
import type { LedgerStack } from './backlog.ts';

export interface LastingStack extends LedgerStack {
  databaseUrl: string;
  /** Of the one tenant. */
  apiKey: string;
  startWorker(): Promise<Started>;
  stopWorker(): Promise<void>;
  startIngress(): Promise<Started>;
  /** Comes back with empty buffers; `between` runs while it is down. */
  restartPostgres(between: () => Promise<void>): Promise<void>;
  verify(...flags: string[]): Promise<{ ok: boolean; seconds: number; output: string }>;
  close(): Promise<void>;
}

const MAIN = join(import.meta.dir, '../../src/main.ts');

export async function openLastingStack(dir: string): Promise<LastingStack> {
  const home = makeHome(resolve(dir));
  const lock = lockHome(home);
  const ports = await serverPorts(home);
  const log = (name: string): string => join(home.logs, `${name}.log`);
  const place = { dir: home.postgres, port: ports.postgres, log: log('postgres') };
  let postgres = await startPostgres(place);
  const redis = await startRedis({ dir: home.redis, port: ports.redis, log: log('redis') });
  await migrate(postgres.url);
  const owner: Sql = connectPostgres(postgres.url, { max: 2, name: 'bench', asOwner: true });
  const { key: apiKey } = await createTenant(owner, 'bench');
  const environment = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    TALLYRACE_HOME: home.root,
    LOG_LEVEL: 'warn',
    NODE_ENV: 'production',
  };
  const started = new Map<string, Started>();
  const start = async (verb: 'worker' | 'ingress'): Promise<Started> => {
    const process = await startProcess(verb, { ...environment, PROCESS_NAME: `${verb}-1` });
    started.set(verb, process);
    return process;
  };
  const stop = async (verb: string): Promise<void> => {
    await started.get(verb)?.kill('SIGTERM');
    started.delete(verb);
  };
  return {
    ...{ home: home.root, databaseUrl: postgres.url, redisUrl: redis.url, owner, apiKey },
    redisPid: redis.pid,
    get postgresPid() {
      return postgres.pid;
    },
    startWorker: () => start('worker'),
    stopWorker: () => stop('worker'),
    startIngress: () => start('ingress'),
    async restartPostgres(between) {
      await postgres.stop();
      await between();
      postgres = await startPostgres(place);
    },
    verify: (...flags) => verify(environment, flags),
    async close() {
      for (const verb of [...started.keys()]) await stop(verb);
      await owner.end({ timeout: 2 });
      await redis.stop();
      await postgres.stop();
      lock.release();
    },
  };
}

async function verify(environment: Record<string, string>, flags: readonly string[]) {
  const startMs = performance.now();
  const child = Bun.spawn([process.execPath, MAIN, 'verify', '--json', ...flags], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output = (await new Response(child.stdout).text()).trim();
  const ok = (await child.exited) === 0;
  return { ok, seconds: (performance.now() - startMs) / 1000, output };
}
