// Copies everything in Postgres as rows in text, all of one snapshot, on a running system: it takes
// no lock that a writer would wait for. Text survives a change of machine and of major version.
// Invariant: a copy that was cut off rejects; rows of two moments are never mixed.
import { SCHEMA, type Sql } from '../io/postgres.ts';
import { textArray } from '../store/columns.ts';
import type { ArchiveWriter } from './archive.ts';

export interface CopiedTable {
  name: string;
  /** Set for a partition: its parent and its bounds. */
  parent: string | null;
  bounds: string | null;
  columns: string[];
  rows: number;
}

export interface LedgerCopy {
  server: string;
  /** Files of sql/ that had been applied. */
  applied: string[];
  tables: CopiedTable[];
  /** By table and column: the last number given out. */
  numbers: { table: string; column: string; last: string }[];
  settled: Record<string, number>;
}

export const rowsIn = ({ tables }: LedgerCopy): number =>
  tables.reduce((sum, { rows }) => sum + rows, 0);

/** Rows of these are about processes that run now, or are made by `migrate`. */
const LEFT_OUT = ['workers', 'schema_migrations'];
const ROWS_AT_ONCE = 2_000;

export const fileOf = (table: string): string => `${table}.rows.zst`;

export async function copyLedger(
  sql: Sql,
  archive: ArchiveWriter,
  onRows: (count: number) => void,
): Promise<LedgerCopy> {
  return (await sql.begin('isolation level repeatable read read only', async (snapshot) => {
    const tx = snapshot as unknown as Sql;
    const [before] = await tx`select pg_backend_pid() as backend, version() as server`;
    const tables: CopiedTable[] = [];
    for (const table of await tablesOf(tx)) {
      const rows = await copyRows(tx, table.name, archive, onRows);
      tables.push({ ...table, rows });
    }
    const streams = await tx`select stream, settled from streams`;
    const copy: LedgerCopy = {
      server: before!['server'] as string,
      applied: (await tx`select name from schema_migrations order by 1`).map(
        (row) => row['name'] as string,
      ),
      tables,
      numbers: await numbersOf(tx),
      settled: Object.fromEntries(
        streams.map((row) => [row['stream'] as string, Number(row['settled'])]),
      ),
    };
    // On another connection, made after a loss, the rows would be of another snapshot.
    const [after] = await tx`select pg_backend_pid() as backend`;
    if (after!['backend'] !== before!['backend']) throw new Error('the connection was lost');
    return copy;
  })) as LedgerCopy;
}

async function tablesOf(tx: Sql): Promise<Omit<CopiedTable, 'rows'>[]> {
  const rows = await tx`
    select c.relname as name, p.relname as parent, pg_get_expr(c.relpartbound, c.oid) as bounds,
      (select json_agg(a.attname order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
    from pg_class c
    left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
    where c.relnamespace = ${SCHEMA}::regnamespace and c.relkind = 'r'
      and c.relname <> all (${textArray(LEFT_OUT)}::text::text[])
    order by 1`;
  return rows as unknown as Omit<CopiedTable, 'rows'>[];
}

async function copyRows(
  tx: Sql,
  table: string,
  archive: ArchiveWriter,
  onRows: (count: number) => void,
): Promise<number> {
  let copied = 0;
  const lines = async function* (): AsyncGenerator<string> {
    const cursor = tx
      .unsafe<{ row: string }[]>(`select t::text as row from only ${SCHEMA}.${table} t`)
      .cursor(ROWS_AT_ONCE);
    for await (const rows of cursor) {
      copied += rows.length;
      onRows(rows.length);
      yield rows.map(({ row }) => `${JSON.stringify(row)}\n`).join('');
    }
  };
  await archive.writeCompressed(fileOf(table), lines());
  return copied;
}

async function numbersOf(tx: Sql): Promise<LedgerCopy['numbers']> {
  const rows = await tx`
    select c.relname as table, a.attname as column, s.last_value::text as last
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    join pg_sequences s on s.schemaname = ${SCHEMA}
      and format('%I.%I', s.schemaname, s.sequencename)
        = pg_get_serial_sequence(format('%I.%I', ${SCHEMA}::text, c.relname), a.attname)
    where c.relnamespace = ${SCHEMA}::regnamespace and a.attidentity <> ''
      and s.last_value is not null`;
  return rows as unknown as LedgerCopy['numbers'];
}
