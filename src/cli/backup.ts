// backup and restore: both stores into a directory, and from it into empty ones.
import { existsSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import {
  type OpenBackup,
  type Stores,
  backup,
  openBackup,
  restore,
  restoreRedis,
} from '../backup/backup.ts';
import { rowsIn } from '../backup/ledger-copy.ts';
import { type Config, readConfig } from '../config.ts';
import { makeHome, serverPorts, withServers } from '../supervisor/home.ts';
import type { Server } from '../supervisor/launch.ts';
import { lockHome } from '../supervisor/lock.ts';
import { startPostgres } from '../supervisor/postgres.ts';
import { startRedis } from '../supervisor/redis.ts';
import { exitCodes, Failure } from './exit.ts';
import { progress } from './progress.ts';

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('copy Redis and Postgres of a running system into a new directory')
    .requiredOption('--to <directory>', 'empty, or not there yet')
    .action(async ({ to }: { to: string }) => {
      const stores = withServers(readConfig(process.env));
      const bar = progress('rows', null);
      const { rows, bytes } = await backup(stores, resolve(to), (count) => bar.add(count));
      bar.end();
      console.log(`${rows} rows and a snapshot of Redis: ${bytes} bytes in ${resolve(to)}`);
    });
  program
    .command('restore')
    .description('put a backup into stores that are empty: those of TALLYRACE_HOME, or yours')
    .requiredOption('--from <directory>', 'what "tallyrace backup" wrote')
    .option('--redis-only', 'for REDIS_URL, when the ledger was put back by other means')
    .action(async ({ from, redisOnly }: { from: string; redisOnly?: boolean }) => {
      const opened = await openBackup(resolve(from));
      if (redisOnly) return await putRedis(readConfig(process.env), opened);
      const rows = rowsIn(opened.manifest.ledger);
      const bar = progress('rows', rows);
      const restored = await withEmptyStores(readConfig(process.env), (stores) =>
        restore(stores, opened, (count) => bar.add(count)),
      );
      bar.end();
      console.log(
        `${restored.rows} rows and ${restored.keys} keys of Redis, as they were at ` +
          `${opened.manifest.started_at}; start, then run "tallyrace verify"`,
      );
    });
}

async function putRedis({ redisUrl }: Config, opened: OpenBackup): Promise<void> {
  if (!redisUrl) throw new Failure('--redis-only needs REDIS_URL', exitCodes.usage);
  const keys = await restoreRedis(redisUrl, opened);
  console.log(`${keys} keys of Redis, as they were at ${opened.manifest.started_at}`);
}

/** Yours by their URLs; what has no URL is made in the home, which must not have it yet. */
async function withEmptyStores<T>(
  config: Config,
  action: (stores: Stores) => Promise<T>,
): Promise<T> {
  const { databaseUrl, redisUrl } = config;
  if (databaseUrl && redisUrl) return await action({ databaseUrl, redisUrl });
  const home = makeHome(config.home);
  const lock = lockHome(home);
  const own = [...(databaseUrl ? [] : [home.postgres]), ...(redisUrl ? [] : [home.redis])];
  const servers: Server[] = [];
  let made: readonly string[] = [];
  try {
    for (const dir of own)
      if (existsSync(dir))
        throw new Failure(`${dir} exists; restore into another home`, exitCodes.usage);
    const ports = await serverPorts(home);
    made = own;
    if (!redisUrl)
      servers.push(
        await startRedis({
          dir: home.redis,
          port: ports.redis,
          log: `${home.logs}/redis.log`,
          appendfsync: config.redisAppendfsync,
        }),
      );
    const redis = redisUrl ?? servers.at(-1)!.url;
    if (!databaseUrl)
      servers.push(
        await startPostgres({
          dir: home.postgres,
          port: ports.postgres,
          log: `${home.logs}/postgres.log`,
        }),
      );
    const done = await action({ databaseUrl: databaseUrl ?? servers.at(-1)!.url, redisUrl: redis });
    made = [];
    return done;
  } finally {
    for (const server of servers) await server.stop();
    // Half a restore is none: the next one finds the home as this one did.
    for (const dir of made) rmSync(dir, { recursive: true, force: true });
    rmSync(`${home.run}/supervisor.pid`, { force: true });
    lock.release();
  }
}
