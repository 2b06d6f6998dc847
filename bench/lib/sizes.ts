// How large the ledger is on disk, by table and index, partitions added up.
import type { Sql } from '../../src/io/postgres.ts';
import { markdownTable } from './goals.ts';

export interface Size {
  name: string;
  isIndex: boolean;
  bytes: number;
}

export async function sizesOf(owner: Sql): Promise<Size[]> {
  const rows = await owner<{ name: string; kind: string; bytes: number }[]>`
    select coalesce(parent.relname, leaf.relname)::text as name, leaf.relkind::text as kind,
           sum(case leaf.relkind when 'r' then pg_table_size(leaf.oid)
                                 else pg_relation_size(leaf.oid) end)::float8 as bytes
      from pg_class leaf
      left join pg_inherits on inhrelid = leaf.oid
      left join pg_class parent on parent.oid = inhparent
     where leaf.relnamespace = 'tallyrace'::regnamespace and leaf.relkind in ('r', 'i')
     group by 1, 2 order by 3 desc`;
  return rows.map(({ name, kind, bytes }) => ({ name, isIndex: kind === 'i', bytes }));
}

export function totalMb(sizes: readonly Size[]): { tables: number; indexes: number } {
  const sum = (index: boolean): number =>
    sizes.reduce((all, { isIndex, bytes }) => all + (isIndex === index ? bytes : 0), 0) / 2 ** 20;
  return { tables: sum(false), indexes: sum(true) };
}

/** Bytes per event and per entry: the ledger's own tables; the others are small. */
export function sizesMarkdown(
  sizes: readonly Size[],
  { events, entries }: { events: number; entries: number },
): string {
  const ledger = /^(outcomes|entries|balances)/;
  const row = (name: string, bytes: number): string[] => [
    name,
    (bytes / 2 ** 20).toFixed(1),
    (bytes / events).toFixed(1),
    (bytes / entries).toFixed(1),
  ];
  const own = sizes.filter(({ name }) => ledger.test(name));
  const rows = own.map(({ name, bytes }) => row(name, bytes));
  const all = own.reduce((sum, { bytes }) => sum + bytes, 0);
  return markdownTable(
    ['table or index', 'MB', 'bytes an event', 'bytes an entry'],
    [...rows, row('together', all)],
  );
}
