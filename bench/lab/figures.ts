// What a variant's turns say: per event, and beside the first variant turn by turn.
import type { Wal } from './backend.ts';
import { asOwner } from './databases.ts';

/** Of one turn: CPU of the server's process, of ours, and the time that passed. */
export interface Turn {
  serverMs: number;
  clientMs: number;
  wallMs: number;
}

export interface Median {
  low: number;
  middle: number;
  high: number;
}

export interface Figures {
  name: string;
  /** Per event. The lower quartile of the turns, since noise only adds. */
  serverUs: number;
  clientUs: number;
  wallUs: number;
  /** Of the server's CPU to that of the first variant in the same turn. */
  ratio: Median;
  /** Per event, over all turns. */
  wal: Wal;
  /** Bytes per event: outcomes and entries with their indexes. */
  tableBytes: number;
  indexBytes: number;
  /** Of the updates of balances, how many needed no new index entry. */
  hotShare: number;
}

/** A variant in its database, with what its turns have used. */
export interface Measured {
  name: string;
  url: string;
  turns: readonly Turn[];
  wal: Wal;
}

export async function figuresOf(
  { name, url, turns, wal }: Measured,
  first: readonly Turn[],
  turnEvents: number,
): Promise<Figures> {
  // One turn was not timed; its rows are there all the same.
  const events = (turns.length + 1) * turnEvents;
  const each = (key: keyof Turn): number =>
    (lowerQuartile(turns.map((turn) => turn[key])) / turnEvents) * 1_000;
  return {
    name,
    serverUs: each('serverMs'),
    clientUs: each('clientMs'),
    wallUs: each('wallMs'),
    ratio: median(turns.map(({ serverMs }, n) => serverMs / first[n]!.serverMs)),
    wal: { bytes: wal.bytes / events, records: wal.records / events, pages: wal.pages / events },
    ...(await storedBy(url, events)),
  };
}

function lowerQuartile(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 4)]!;
}

/** With the bounds between which it is in 19 of 20 such runs, whatever the noise is like. */
function median(values: readonly number[]): Median {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const away = 0.98 * Math.sqrt(sorted.length);
  const at = (n: number): number =>
    sorted[Math.min(Math.max(Math.floor(n), 0), sorted.length - 1)]!;
  return { low: at(middle - away), middle: at(middle), high: at(middle + away) };
}

async function storedBy(url: string, events: number) {
  return await asOwner(url, async (sql) => {
    const [sizes] = await sql<{ tables: number; indexes: number }[]>`
      select sum(pg_table_size(c.oid))::float8 as tables,
             sum(pg_indexes_size(c.oid))::float8 as indexes
      from pg_class c where c.relkind = 'r' and c.relnamespace = 'tallyrace'::regnamespace
        and c.relname ~ '^(outcomes|bodies|entries)'`;
    const [hot] = await sql<{ share: number | null }[]>`
      select (n_tup_hot_upd::float8 / nullif(n_tup_upd, 0)) as share
      from pg_stat_user_tables where relname = 'balances'`;
    const { tables, indexes } = sizes!;
    return {
      tableBytes: tables / events,
      indexBytes: indexes / events,
      hotShare: hot?.share ?? Number.NaN,
    };
  });
}
