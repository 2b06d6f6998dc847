// Puts a copy of the ledger into an empty database: the schema of its time, then its rows, then
// the migrations and functions that came later.
// Invariant: until it is complete, a table `restoring` stands in the schema, and nothing starts on
// it or migrates it.
import { type Sql, SCHEMA } from '../io/postgres.ts';
import { textArray } from '../store/columns.ts';
import { RESTORING, migrate } from '../store/migrate.ts';
import { ArchiveError, type ArchiveReader } from './archive.ts';
import { type CopiedTable, type LedgerCopy, fileOf } from './ledger-copy.ts';

const ROWS_AT_ONCE = 10_000;

/** Rejects when the database holds anything of ours. */
export async function requireEmptyLedger(sql: Sql): Promise<void> {
  const [found] = await sql`select to_regnamespace(${SCHEMA}) is not null as exists`;
  if (found!['exists'])
    throw new ArchiveError(
      `the database has a schema ${SCHEMA} already; restore into an empty one, or drop it: ` +
        `drop schema ${SCHEMA} cascade`,
    );
}

export async function loadLedger(
  sql: Sql,
  url: string,
  archive: ArchiveReader,
  copy: LedgerCopy,
  onRows: (count: number) => void,
): Promise<void> {
  await sql.unsafe(`create schema ${SCHEMA}; create table ${SCHEMA}.${RESTORING} ()`).simple();
  const migrations = new Set(copy.applied.filter((name) => name.startsWith('migrations/')));
  await migrate(url, () => {}, { restoring: true, only: (name) => migrations.has(name) });
  for (const table of await inOrder(sql, copy.tables)) {
    await makePartition(sql, table);
    await requireColumns(sql, table);
    await loadRows(sql, table, archive, onRows);
  }
  for (const { table, column, last } of copy.numbers)
    await sql`
      select setval(pg_get_serial_sequence(${`${SCHEMA}.${table}`}, ${column}), ${last}::bigint)`;
  await migrate(url, () => {}, { restoring: true });
  await sql.unsafe(`drop table ${SCHEMA}.${RESTORING}; analyze`).simple();
}

/** Those that others refer to come first. */
async function inOrder(sql: Sql, tables: readonly CopiedTable[]): Promise<CopiedTable[]> {
  const rows = await sql`
    select distinct c.relname as name from pg_constraint f join pg_class c on c.oid = f.confrelid
    where f.contype = 'f' and c.relnamespace = ${SCHEMA}::regnamespace`;
  const referred = new Set(rows.map((row) => row['name'] as string));
  return tables.toSorted((a, b) => Number(referred.has(b.name)) - Number(referred.has(a.name)));
}

/** Months that are long past, or that this database has not made yet. */
async function makePartition(sql: Sql, { name, parent, bounds }: CopiedTable): Promise<void> {
  const [found] = await sql`select to_regclass(${`${SCHEMA}.${name}`}) is not null as exists`;
  if (found!['exists'] || parent === null) return;
  await sql
    .unsafe(
      `create table ${SCHEMA}.${name} partition of ${SCHEMA}.${parent} ${bounds};
       call ${SCHEMA}.protect('${SCHEMA}.${name}')`,
    )
    .simple();
}

async function requireColumns(sql: Sql, { name, columns }: CopiedTable): Promise<void> {
  const rows = await sql`
    select attname as column from pg_attribute
    where attrelid = to_regclass(${`${SCHEMA}.${name}`}) and attnum > 0 and not attisdropped
    order by attnum`;
  const here = rows.map((row) => row['column'] as string).join(', ');
  if (here !== columns.join(', '))
    throw new ArchiveError(`the table ${name} has the columns ${here}, not ${columns.join(', ')}`);
}

async function loadRows(
  sql: Sql,
  { name, rows }: CopiedTable,
  archive: ArchiveReader,
  onRows: (count: number) => void,
): Promise<void> {
  const table = `${SCHEMA}.${name}`;
  await sql.unsafe(`delete from ${table}`);
  let [loaded, batch] = [0, [] as string[]];
  const put = async (): Promise<void> => {
    // Each text becomes a row once, and not once for each column.
    await sql.unsafe(
      `insert into ${table} overriding system value
       select (r.row).* from (select x::${table} as row
         from unnest($1::text::text[]) x offset 0) r`,
      [textArray(batch)],
    );
    loaded += batch.length;
    onRows(batch.length);
    batch = [];
  };
  for await (const line of archive.lines(fileOf(name))) {
    batch.push(JSON.parse(line) as string);
    if (batch.length >= ROWS_AT_ONCE) await put();
  }
  if (batch.length > 0) await put();
  if (loaded !== rows)
    throw new ArchiveError(
      `${fileOf(name)} holds ${loaded} rows, not ${rows} as the manifest says`,
    );
}
