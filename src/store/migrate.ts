// Brings the schema forward: sql/migrations in order, then every file of sql/queries that changed.
// Invariant: what is recorded was applied whole, and a released migration never changes.
import { APP_ROLE, SCHEMA, connectPostgres, sqlState, type Sql } from '../io/postgres.ts';
import { MigrationError, type Release, type SqlFile, ownRelease } from './release.ts';

const VERSION_MIN = 150_000;
const LOCK_POLL_MS = 100;
const NO_TRANSACTION = '-- no-transaction';
/** The row that says which release migrated last. */
const RELEASE = 'release';
const SERVES = 'the schema is current';
/** Writers stand still for as long, at most, each time. */
const LOCK_WAIT_MS = 500;
const LOOK_AGAIN_MS = 200;
const LOCK_PAUSE_MS = 1_500;
/** A quarter of an hour, together. */
const LOCK_ATTEMPTS_MAX = 450;

export interface SchemaState {
  /** Nothing pending; functions are ours, or those of a later release. */
  current: boolean;
  detail: string;
  /** Files that were never applied. */
  pending: string[];
  /** Query files whose text differs from what was applied: re-applied by the next run. */
  changed: string[];
  /** Migrations whose text differs from what was applied: a mistake, refused. */
  edited: string[];
  /** The later release that has migrated since; null when none has. */
  later: string | null;
}

/** Stands in the schema while a backup is put back: what is there is not complete. */
export const RESTORING = 'restoring';

export interface MigrateOptions {
  release?: Release;
  /** By whoever puts a backup back; anybody else is refused meanwhile. */
  restoring?: boolean;
  /** Files to apply, of those that are due. */
  only?(name: string): boolean;
}

/** Applies what is missing; gives the names of the files it applied. Safe to run twice at once. */
export async function migrate(
  url: string,
  say: (line: string) => void = () => {},
  { restoring = false, only = () => true, release = ownRelease() }: MigrateOptions = {},
): Promise<string[]> {
  const sql = connectPostgres(url, { max: 1, name: 'migrate', asOwner: true });
  try {
    const backend = await lock(sql);
    await prepare(sql);
    if (!restoring) await refuseHalfRestored(sql);
    const state = stateOf(await recorded(sql), release);
    if (state.edited.length > 0) throw new MigrationError(state.detail);
    const due = new Set([...state.pending, ...state.changed]);
    const files = release.files.filter(({ name }) => due.has(name) && only(name));
    if (state.later)
      say(`functions stay those of ${state.later}, which is later than ${release.version}`);
    for (const file of files) {
      say(`apply ${file.name}`);
      await applyPatiently(sql, file, backend, say);
    }
    if (!state.later) await recordRelease(sql, release.version);
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

/** What a process asks at its start; runs as the application role. */
export async function schemaIsCurrent(sql: Sql, release = ownRelease()): Promise<SchemaState> {
  const state = stateOf(await recorded(sql), release);
  return state.later && state.current ? await withCalls(sql, state, release) : state;
}

/**
 * What /readyz asks of a process that runs: whether the schema still serves it. Functions may have
 * been replaced since, by those of a later release, as long as they are called the same.
 */
export async function schemaServes(sql: Sql, release = ownRelease()): Promise<SchemaState> {
  const state = stateOf(await recorded(sql), release);
  const unmet = state.pending.length + state.edited.length > 0;
  return unmet ? state : await withCalls(sql, state, release);
}

/** The state as it is for a process of this release: all that it calls must be there. */
async function withCalls(sql: Sql, state: SchemaState, release: Release): Promise<SchemaState> {
  // Looked at twice: a function that is made anew in this moment has no result for a moment.
  let gone = await missingCalls(sql, release);
  if (gone.length > 0) {
    await Bun.sleep(LOOK_AGAIN_MS);
    gone = await missingCalls(sql, release);
  }
  if (gone.length === 0) return { ...state, current: true, detail: SERVES };
  const names = gone.map((call) => call.slice(0, call.indexOf('('))).join(', ');
  const detail = `start a later release: the database no longer has ${names} as this one calls it`;
  return { ...state, current: false, detail };
}

async function missingCalls(sql: Sql, { calls }: Release): Promise<string[]> {
  const there = new Set(await signaturesOf(sql));
  return calls.filter((call) => !there.has(call));
}

/** Every function of the schema: name, types of its arguments, and what it gives. */
export async function signaturesOf(sql: Sql): Promise<string[]> {
  const rows = await sql<{ signature: string }[]>`
    select format('%s(%s) %s', p.proname, oidvectortypes(p.proargtypes),
                  pg_get_function_result(p.oid)) as signature
    from pg_proc p where p.pronamespace = ${SCHEMA}::regnamespace and p.prokind = 'f' order by 1`;
  return rows.map(({ signature }) => signature);
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

function stateOf(applied: Map<string, string>, { files, version }: Release): SchemaState {
  const differing = files.filter(
    ({ name, checksum }) => applied.has(name) && applied.get(name) !== checksum,
  );
  const names = (list: readonly SqlFile[]): string[] => list.map(({ name }) => name);
  const release = applied.get(RELEASE) ?? version;
  const later = Bun.semver.order(release, version) > 0 ? release : null;
  const pending = names(files.filter(({ name }) => !applied.has(name)));
  const changed = later ? [] : names(differing.filter(({ name }) => name.startsWith('queries/')));
  const edited = names(differing.filter(({ name }) => name.startsWith('migrations/')));
  const current = pending.length + changed.length + edited.length === 0;
  return { current, detail: describe(pending, changed, edited), pending, changed, edited, later };
}

function describe(pending: string[], changed: string[], edited: string[]): string {
  if (edited.length > 0)
    return `${edited.join(', ')} was edited after it was applied; put it back and add a new one`;
  const due = [...pending, ...changed];
  return due.length > 0 ? `run "tallyrace migrate": ${due.join(', ')} not applied` : SERVES;
}

async function recordRelease(sql: Sql, version: string): Promise<void> {
  await sql`
    insert into schema_migrations (name, checksum) values (${RELEASE}, ${version})
    on conflict (name) do update set checksum = excluded.checksum, applied_at = now()
    where schema_migrations.checksum <> excluded.checksum`;
}

/**
 * Who waits for a lock on a table holds up all who come after it, so a migration waits a moment
 * only, lets them pass, and tries again.
 */
async function applyPatiently(
  sql: Sql,
  file: SqlFile,
  backend: number,
  say: (line: string) => void,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await apply(sql, file, backend);
    } catch (error) {
      const waits = /^(55P03|40P01)$/.test(sqlState(error) ?? '');
      if (!waits || attempt === LOCK_ATTEMPTS_MAX)
        throw new MigrationError(`sql/${file.name}: ${describeError(error, file.text)}`);
      if (attempt === 1) say(`  waits for a table that another transaction has; trying again`);
      await Bun.sleep(LOCK_PAUSE_MS);
    }
  }
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
  if (file.text.startsWith(NO_TRANSACTION)) {
    // Each statement by itself, such as "create index concurrently", which holds up nobody while it
    // waits for older transactions.
    await sql`set lock_timeout = 0`;
    for (const statement of statementsOf(file.text)) await sql.unsafe(statement).simple();
    await sql.unsafe(`${guard}${record}`).simple();
    return;
  }
  const patience = `set lock_timeout = ${LOCK_WAIT_MS};`;
  await sql.unsafe(`${guard.replaceAll('\n', ' ')} ${patience} ${file.text};\n${record}`).simple();
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
