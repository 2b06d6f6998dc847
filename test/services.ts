// The stack under test or bench: real Postgres, real Redis, real processes. Each has a database of
// its own, cloned from a migrated template, a Redis of its own, a directory of its own.
// Invariant: what was started here is gone after close(), in whatever state it was.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Sql, connectPostgres } from '../src/io/postgres.ts';
import { migrate } from '../src/store/migrate.ts';
import { findFreePort } from '../src/supervisor/ports.ts';
import type { Server } from '../src/supervisor/launch.ts';
import { startPostgres } from '../src/supervisor/postgres.ts';
import { startRedis } from '../src/supervisor/redis.ts';
import { type Started, startProcess } from './processes.ts';
import { type TestTenant, createTenant } from './tenants.ts';

export const ROOT = join(import.meta.dir, '..');

/** Set by whoever runs several test processes: the URL of a Postgres that they may share. */
const SHARED_POSTGRES = 'TALLYRACE_TEST_POSTGRES';

export interface Stack {
  databaseUrl: string;
  redisUrl: string;
  redisPid: number;
  /** 0 when the server belongs to somebody else. */
  postgresPid: number;
  home: string;
  /** As the application sees it: row-level security holds. */
  sql: Sql;
  /** As the owner of the database, who sees everything. */
  owner: Sql;
  createTenant(name: string, scopes?: readonly string[]): Promise<TestTenant>;
  startIngress(env?: Record<string, string>): Promise<Started>;
  startWorker(env?: Record<string, string>): Promise<Started>;
  startEffects(env?: Record<string, string>): Promise<Started>;
  /** `tallyrace <arguments>` to its end, against this stack. */
  run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  environment: Record<string, string>;
  close(): Promise<void>;
}

interface Opened {
  what: string;
  close(): unknown;
}

export async function openServices(name: string): Promise<Stack> {
  const opened: Opened[] = [];
  try {
    return await open(name, opened);
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

async function open(name: string, opened: Opened[]): Promise<Stack> {
  const home = mkdtempSync(join(tmpdir(), `tallyrace-${name}-`));
  opened.push({ what: 'home', close: () => rmSync(home, { recursive: true, force: true }) });
  mkdirSync(join(home, 'run'));

  const shared = process.env[SHARED_POSTGRES];
  const postgres = shared ? { url: shared, pid: 0 } : await ownPostgres(home, opened);
  const databaseUrl = await cloneDatabase(postgres.url, name, opened);
  const redis = await startRedis({
    dir: join(home, 'redis'),
    port: await findFreePort(),
    log: join(home, 'redis.log'),
  });
  opened.push({ what: 'redis', close: () => redis.stop() });

  const sql = connectPostgres(databaseUrl, { max: 4, name: `test ${name}` });
  const owner = connectPostgres(databaseUrl, { max: 4, name: `test ${name}`, asOwner: true });
  opened.push({ what: 'clients', close: () => Promise.all([end(sql), end(owner)]) });

  const environment = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    TALLYRACE_HOME: home,
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
    TALLYRACE_SECRETS_KEY: Buffer.alloc(32, name).toString('base64'),
  };
  const count = { ingress: 0, worker: 0, effects: 0 };
  const start = async (verb: keyof typeof count, env: Record<string, string> = {}) => {
    const name = { PROCESS_NAME: `${verb}-${++count[verb]}` };
    const started = await startProcess(verb, { ...environment, ...name, ...env });
    opened.push({ what: verb, close: () => started.kill('SIGKILL') });
    return started;
  };
  return {
    databaseUrl,
    redisUrl: redis.url,
    redisPid: redis.pid,
    postgresPid: postgres.pid,
    home,
    sql,
    owner,
    environment,
    createTenant: (tenantName, scopes) => createTenant(owner, tenantName, scopes),
    startIngress: (env) => start('ingress', env),
    startWorker: (env) => start('worker', env),
    startEffects: (env) => start('effects', env),
    run: (...args) => runVerb(args, environment),
    close: () => closeAll(opened),
  };
}

/** Last opened, first closed; one failure does not keep the rest running. */
async function closeAll(opened: Opened[]): Promise<void> {
  const failures: string[] = [];
  for (const { what, close } of opened.splice(0).reverse()) {
    try {
      await close();
    } catch (error) {
      failures.push(`${what}: ${String(error)}`);
    }
  }
  if (failures.length > 0) throw new Error(`could not be closed: ${failures.join('; ')}`);
}

function end(sql: Sql): Promise<void> {
  return sql.end({ timeout: 2 });
}

async function ownPostgres(home: string, opened: Opened[]): Promise<Server> {
  const postgres = await startPostgres({
    dir: join(home, 'postgres'),
    port: await findFreePort(),
    log: join(home, 'postgres.log'),
  });
  opened.push({ what: 'postgres', close: () => postgres.stop() });
  return postgres;
}

/** Migrating takes far longer than copying a migrated database. */
async function cloneDatabase(postgresUrl: string, name: string, opened: Opened[]): Promise<string> {
  const template = `template_${await schemaHash()}`;
  const database = `test_${name.replaceAll(/\W/g, '_')}_${process.pid}_${Date.now()}`;
  const admin = connectPostgres(postgresUrl, { max: 1, name: 'test stack', asOwner: true });
  try {
    // A session lock: test processes that share the server make the template once.
    await admin`select pg_advisory_lock(7214553)`;
    const [existing] = await admin`select 1 from pg_database where datname = ${template}`;
    if (!existing) {
      await admin.unsafe(`create database ${template}_new`);
      await migrate(withDatabase(postgresUrl, `${template}_new`));
      await admin.unsafe(`alter database ${template}_new rename to ${template}`);
    }
    await admin.unsafe(`create database ${database} template ${template}`);
  } finally {
    await end(admin);
  }
  opened.push({ what: 'database', close: () => dropDatabase(postgresUrl, database) });
  return withDatabase(postgresUrl, database);
}

async function dropDatabase(postgresUrl: string, database: string): Promise<void> {
  const admin = connectPostgres(postgresUrl, { max: 1, name: 'test stack', asOwner: true });
  await admin.unsafe(`drop database ${database} with (force)`).finally(() => end(admin));
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

async function schemaHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of ['migrations', 'queries']) {
    const files = await readdir(join(ROOT, 'sql', folder));
    for (const file of files.sort())
      hash.update(file).update(await Bun.file(join(ROOT, 'sql', folder, file)).text());
  }
  return hash.digest('hex').slice(0, 16);
}

async function runVerb(args: readonly string[], environment: Record<string, string>) {
  const child = Bun.spawn([process.execPath, join(ROOT, 'src/main.ts'), ...args], {
    env: { ...process.env, ...environment },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
