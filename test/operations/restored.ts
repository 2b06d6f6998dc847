// A backup put back to another place: an empty database, an empty Redis, processes of its own.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import type { Started } from '../processes.ts';
import { type Stack, openServices } from '../services.ts';

const opened: (() => Promise<unknown>)[] = [];

/** For afterAll: everything that was restored goes. */
export async function dropRestored(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

export interface Restored {
  owner: Sql;
  environment: Record<string, string>;
  run: Stack['run'];
  startIngress(): Promise<Started>;
  startWorker(): Promise<Started>;
}

/** A database of nothing, beside that of the stack. */
export async function emptyDatabase(stack: Stack): Promise<string> {
  const name = `empty_${process.pid}_${crypto.randomUUID().slice(0, 8)}`;
  await stack.owner.unsafe(`create database ${name}`);
  const [server, url] = [new URL(stack.databaseUrl), new URL(stack.databaseUrl)];
  server.pathname = '/postgres';
  url.pathname = `/${name}`;
  opened.push(async () => {
    // The stack and its connections may be closed by now.
    const admin = connectPostgres(server.href, { max: 1, name: 'restored', asOwner: true });
    await admin.unsafe(`drop database ${name} with (force)`);
    await admin.end({ timeout: 2 });
  });
  return url.href;
}

/** `source` is the stack whose server gets the database. */
export async function restoreElsewhere(source: Stack, dir: string): Promise<Restored> {
  const database = { DATABASE_URL: await emptyDatabase(source) };
  const place = await openServices('restored');
  opened.push(() => place.close());
  Object.assign(place.environment, database);
  const { exitCode, stdout, stderr } = await place.run('restore', '--from', dir);
  if (exitCode !== 0) throw new Error(`restore ended with ${exitCode}: ${stdout}${stderr}`);
  const owner = connectPostgres(database.DATABASE_URL, { max: 2, name: 'restored', asOwner: true });
  opened.push(() => owner.end({ timeout: 2 }));
  return {
    owner,
    environment: place.environment,
    run: place.run,
    startIngress: () => place.startIngress({ ...database, QUEUE_WAIT_MS_MAX: '3600000' }),
    startWorker: () => place.startWorker(database),
  };
}

/** The ledger of one backup with the Redis of another. */
export function mixed(ledger: string, redis: string, dir: string): string {
  const file = 'redis.rdb.zst';
  cpSync(ledger, dir, { recursive: true });
  cpSync(join(redis, file), join(dir, file));
  const sums = (of: string): string[] => readFileSync(join(of, 'SHA256SUMS'), 'utf8').split('\n');
  const other = sums(redis).find((line) => line.endsWith(file))!;
  const lines = sums(ledger).map((line) => (line.endsWith(file) ? other : line));
  writeFileSync(join(dir, 'SHA256SUMS'), lines.join('\n'));
  return dir;
}
