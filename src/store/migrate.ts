// Brings the schema forward: sql/migrations in order, then every file of sql/queries that changed.
// Invariant: what is recorded was applied whole, and a released migration never changes.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { APP_ROLE, SCHEMA, connectPostgres, sqlState, type Sql } from '../io/postgres.ts';

const ROOT = resolve(import.meta.dir, '../../sql');
const VERSION_MIN = 150_000;
const LOCK_POLL_MS = 100;
const NO_TRANSACTION = '-- no-transaction';

interface SqlFile {
  /** `migrations/0001_engine.sql`, `queries/ledger.sql`. */
  name: string;
  text: string;
  checksum: string;
}

export interface SchemaState {
  /** Nothing pending, nothing changed. */
  current: boolean;
  detail: string;
  /** Files that were never applied. */
  pending: string[];
  /** Query files whose text differs from what was applied: re-applied by the next run. */
  changed: string[];
  /** Migrations whose text differs from what was applied: a mistake, refused. */
  edited: string[];
}

export class MigrationError extends Error {}

/** Stands in the schema while a backup is put back: what is there is not complete. */
export const RESTORING = 'restoring';

export interface MigrateOptions {
  /** By whoever puts a backup back; anybody else is refused meanwhile. */
  restoring?: boolean;
  /** Files to apply, of those that are due. */
  only?(name: string): boolean;
}

/** Applies what is missing; gives the names of the files it applied. Safe to run twice at once. */
export async function migrate(
  url: string,
  say: (line: string) => void = () => {},
  { restoring = false, only = () => true }: MigrateOptions = {},
): Promise<string[]> {
  const sql = connectPostgres(url, { max: 1, name: 'migrate', asOwner: true });
  try {
    const backend = await lock(sql);
    await prepare(sql);
    if (!restoring) await refuseHalfRestored(sql);
    const state = stateOf(await recorded(sql));
    if (state.edited.length > 0) throw new MigrationError(state.detail);
    const due = new Set([...state.pending, ...state.changed]);
    const files = sqlFiles().filter(({ name }) => due.has(name) && only(name));
    for (const file of files) {
      say(`apply ${file.name}`);
      await apply(sql, file, backend);
    }
    await sql.unsafe(`grant select on ${SCHEMA}.schema_migrations to ${APP_ROLE}`);
    return files.map(({ name }) => name);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Asked again and again: whoever waits inside a statement holds a snapshot, and an index that is
 * built concurrently waits for that to go. Gives the connection that holds the lock. */
async function lock(sql: Sql): Promise<number> {
  for (;;) {
    const [row] = await sql<{ taken: boolean; backend: number }[]>`
      select pg_try_advisory_lock(hashtext('tallyrace.migrate')) as taken,
             pg_backend_pid() as backend`;
    if (row!.taken) return row!.backend;
    await Bun.sleep(LOCK_POLL_MS);
  }
}

/** What a process asks at its start and /readyz now and then; runs as the application role. */
export async function schemaIsCurrent(sql: Sql): Promise<SchemaState> {
  return stateOf(await recorded(sql));
}

/** As schemaIsCurrent, for the command line. */
export async function schemaState(url: string): Promise<SchemaState> {
  const sql = connectPostgres(url, { max: 1, name: 'migrate', asOwner: true });
  try {
    return await schemaIsCurrent(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Migrations first, by number; then queries, by name. */
function sqlFiles(): SqlFile[] {
  return ['migrations', 'queries'].flatMap((folder) =>
    readdirSync(`${ROOT}/${folder}`)
      .filter((file) => file.endsWith('.sql'))
      .toSorted()
      .map((file) => {
        if (folder === 'migrations' && !/^\d{4}_[a-z0-9_]+\.sql$/.test(file))
          throw new MigrationError(`sql/migrations/${file}: the name must be like 0001_word.sql`);
        const text = readFileSync(`${ROOT}/${folder}/${file}`, 'utf8');
        const checksum = createHash('sha256').update(text).digest('hex');
        return { name: `${folder}/${file}`, text, checksum };
      }),
  );
}

async function recorded(sql: Sql): Promise<Map<string, string>> {
  try {
    const rows = await sql<{ name: string; checksum: string }[]>`
      select name, checksum from schema_migrations`;
    return new Map(rows.map(({ name, checksum }) => [name, checksum]));
  } catch (error) {
    // Undefined table: a database that was never migrated.
    if (sqlState(error) === '42P01') return new Map();
    throw error;
  }
}

function stateOf(applied: Map<string, string>): SchemaState {
  const files = sqlFiles();
  const differing = files.filter(
    ({ name, checksum }) => applied.has(name) && applied.get(name) !== checksum,
  );
  const names = (list: SqlFile[]): string[] => list.map(({ name }) => name);
  const pending = names(files.filter(({ name }) => !applied.has(name)));
  const changed = names(differing.filter(({ name }) => name.startsWith('queries/')));
  const edited = names(differing.filter(({ name }) => name.startsWith('migrations/')));
  const current = pending.length + changed.length + edited.length === 0;
  return { current, detail: describe(pending, changed, edited), pending, changed, edited };
}

function describe(pending: string[], changed: string[], edited: string[]): string {
  if (edited.length > 0)
    return `${edited.join(', ')} was edited after it was applied; put it back and add a new one`;
  const due = [...pending, ...changed];
  return due.length > 0
    ? `run "tallyrace migrate": ${due.join(', ')} not applied`
    : 'the schema is current';
}

/** Several statements in one message are one transaction: the file and its record, or neither. */
async function apply(sql: Sql, file: SqlFile, backend: number): Promise<void> {
  // The lock is the connection's: on another connection, made after a loss, nothing may run.
  const guard = `
    do $guard$ begin
      if pg_backend_pid() <> ${backend} then raise 'the connection was lost'; end if;
    end $guard$;`;
  const record = `
    insert into ${SCHEMA}.schema_migrations (name, checksum)
    values ('${file.name}', '${file.checksum}')
    on conflict (name) do update set checksum = excluded.checksum, applied_at = now();`;
  try {
    if (file.text.startsWith(NO_TRANSACTION)) {
      // Each statement by itself, such as "create index concurrently".
      for (const statement of statementsOf(file.text)) await sql.unsafe(statement).simple();
      await sql.unsafe(`${guard}${record}`).simple();
    } else await sql.unsafe(`${guard.replaceAll('\n', ' ')}${file.text};\n${record}`).simple();
  } catch (error) {
    throw new MigrationError(`sql/${file.name}: ${describeError(error, file.text)}`);
  }
}

/** A file of statements that end with their line; none of them is a body of statements. */
function statementsOf(text: string): string[] {
  return text.split(/;\s*\n/).filter((statement) => /^\s*[^\s-]/m.test(statement));
}

function describeError(error: unknown, text: string): string {
  if (!(error instanceof Error)) return String(error);
  const position = 'position' in error ? Number(error.position) : 0;
  const line = position > 0 ? text.slice(0, position).split('\n').length : 0;
  return line > 0 ? `line ${line}: ${error.message}` : error.message;
}

/** Schema, record table and application role, as far as the owner of the database may. */
async function prepare(sql: Sql): Promise<void> {
  const [server] = await sql<{ version: number; owner: string }[]>`
    select current_setting('server_version_num')::int as version, current_user as owner`;
  const { version, owner } = server!;
  if (version < VERSION_MIN)
    throw new MigrationError(
      `Postgres ${VERSION_MIN / 10_000} or later is needed; this one is ${version / 10_000}`,
    );
  await sql`set check_function_bodies = off`;
  await sql`set lock_timeout = 0`;
  await allowed(
    sql,
    `create schema if not exists ${SCHEMA}`,
    `grant create on database <name> to ${owner}`,
  );
  await sql.unsafe(`
    create table if not exists ${SCHEMA}.schema_migrations (
      name       text primary key,
      checksum   text not null,
      applied_at timestamptz not null default now())`);
  const roles = await sql`select 1 from pg_roles where rolname = ${APP_ROLE}`;
  const advice = `create role ${APP_ROLE} nologin; grant ${APP_ROLE} to ${owner}`;
  if (roles.length === 0) await allowed(sql, `create role ${APP_ROLE} nologin`, advice);
  // Asked by doing it, since what membership allows differs between versions of Postgres.
  const becomes = await sql
    .unsafe(`set role ${APP_ROLE}; reset role`)
    .simple()
    .then(
      () => true,
      () => false,
    );
  if (!becomes) await allowed(sql, `grant ${APP_ROLE} to current_user`, advice);
}

async function refuseHalfRestored(sql: Sql): Promise<void> {
  const [row] = await sql`select to_regclass(${`${SCHEMA}.${RESTORING}`}) is not null as half`;
  if (row!['half'])
    throw new MigrationError(
      'a restore into this database is under way, or was not finished. When none runs, ' +
        `"drop schema ${SCHEMA} cascade" and restore again`,
    );
}

/** Runs it; where the owner may not, says what an administrator has to type. */
async function allowed(sql: Sql, statement: string, advice: string): Promise<void> {
  try {
    await sql.unsafe(statement).simple();
  } catch (error) {
    if (sqlState(error) !== '42501') throw error;
    throw new MigrationError(
      `the user of DATABASE_URL may not "${statement}". An administrator must type: ${advice}`,
    );
  }
}
