// Variants of the ledger's write, in one Postgres, in turns: each in a database of its own, all with
// the same rows. What counts is the CPU of the server's process for one event, and its share of
// what the first variant needs in the same turn; a noisy neighbour then touches both alike.
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { type Backend, type Wal, connectBackend } from './backend.ts';
import { textArray } from '../../src/store/columns.ts';
import { type DecidedBatch, accountColumns, decidedBatches, streams } from './decided.ts';
import { BATCH_EVENTS, type Variant, schemaOf, writeOf } from './variant.ts';

/** Of one turn: CPU of the server's process, of ours, and the time that passed. */
interface Turn {
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

interface Bench {
  variant: Variant;
  url: string;
  backend: Backend;
  before: Wal;
  turns: Turn[];
}

export async function compareVariants(
  databaseUrl: string,
  variants: readonly Variant[],
  turns: number,
): Promise<Figures[]> {
  const turnEvents = Math.max(...variants.map(({ batchEvents = BATCH_EVENTS }) => batchEvents));
  const pool = new BatchPool(turnEvents);
  const benches: Bench[] = [];
  const names: string[] = [];
  const admin = connectPostgres(databaseUrl, { max: 1, name: 'laboratory', asOwner: true });
  try {
    const nameOf = (n: number): string => `laboratory_${process.pid}_${n}`;
    names.push(nameOf(0));
    const template = await openTemplate(admin, databaseUrl, nameOf(0));
    for (const variant of variants) {
      const name = nameOf(names.length);
      names.push(name);
      benches.push(await openBench(admin, template, name, variant));
    }
    await admin`checkpoint`;
    // The first turn compiles functions and makes plans.
    for (let turn = -1; turn < turns; turn++) {
      pool.forgetBefore(turn);
      for (const bench of rotated(benches, turn + 1)) await takeTurn(admin, bench, pool, turn);
    }
    return await Promise.all(benches.map((bench) => figuresOf(bench, benches[0]!, turnEvents)));
  } finally {
    await Promise.all(benches.map(({ backend }) => backend.end()));
    for (const name of names) await admin.unsafe(`drop database if exists ${name} with (force)`);
    await admin.end({ timeout: 2 });
  }
}

/** Nobody always comes after the same one. */
function rotated<Item>(items: readonly Item[], by: number): Item[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** As a ledger is after a while: the streams are known, and every account is there. */
async function openTemplate(admin: Sql, databaseUrl: string, name: string): Promise<string> {
  const url = await copyDatabase(admin, databaseUrl, name);
  await asOwner(url, async (owner) => {
    await owner`insert into tenants (name) values ('laboratory')`;
    await owner`insert into streams (stream, epoch)
                select unnest(${textArray(streams)}::text::text[]), 1`;
    await owner.unsafe(
      `insert into balances (account_key, balance, sequence, floor, tenant_id, account, unit)
       select * from unnest($1::text::uuid[], $2::text::bigint[], $2::text::bigint[],
         $3::text::bigint[], $4::text::int[], $5::text::text[], $6::text::text[])`,
      accountColumns(),
    );
    await owner`vacuum analyze balances`;
  });
  return url;
}

async function openBench(
  admin: Sql,
  template: string,
  name: string,
  variant: Variant,
): Promise<Bench> {
  const url = await copyDatabase(admin, template, name);
  await asOwner(url, (owner) => owner.unsafe(schemaOf(variant)).simple());
  const backend = await connectBackend(url, variant);
  return { variant, url, backend, before: await backend.wal(), turns: [] };
}

async function copyDatabase(admin: Sql, of: string, name: string): Promise<string> {
  const url = new URL(of);
  await admin.unsafe(`create database ${name} template ${url.pathname.slice(1)}`);
  url.pathname = name;
  return url.href;
}

async function asOwner<Result>(url: string, use: (owner: Sql) => Promise<Result>): Promise<Result> {
  const owner = connectPostgres(url, { max: 1, name: 'laboratory', asOwner: true });
  try {
    return await use(owner);
  } finally {
    await owner.end({ timeout: 2 });
  }
}

async function takeTurn(admin: Sql, bench: Bench, pool: BatchPool, turn: number): Promise<void> {
  const { variant, backend, turns } = bench;
  const { batchEvents = BATCH_EVENTS, beforeTurn } = variant;
  const write = writeOf(variant);
  const batches = pool.batchesOf(batchEvents, turn);
  if (beforeTurn) await admin.unsafe(beforeTurn);
  const before = now(backend);
  for (const batch of batches) await write(backend, batch);
  const after = now(backend);
  if (turn >= 0)
    turns[turn] = {
      serverMs: after.serverMs - before.serverMs,
      clientMs: after.clientMs - before.clientMs,
      wallMs: after.wallMs - before.wallMs,
    };
}

function now(backend: Backend): Turn {
  const { user, system } = process.cpuUsage();
  const clientMs = (user + system) / 1_000;
  return { serverMs: backend.cpuMs(), clientMs, wallMs: performance.now() };
}

/** Batches of a turn, built once for all variants and kept until the next turn. */
class BatchPool {
  private readonly sources = new Map<number, Generator<DecidedBatch>>();
  private readonly built = new Map<string, DecidedBatch[]>();

  constructor(private readonly turnEvents: number) {}

  batchesOf(batchEvents: number, turn: number): DecidedBatch[] {
    const key = `${batchEvents} ${turn}`;
    let batches = this.built.get(key);
    if (!batches) {
      let source = this.sources.get(batchEvents);
      if (!source) this.sources.set(batchEvents, (source = decidedBatches(batchEvents)));
      const generator = source;
      batches = Array.from({ length: this.turnEvents / batchEvents }, () => generator.next().value);
      this.built.set(key, batches);
    }
    return batches;
  }

  forgetBefore(turn: number): void {
    for (const key of this.built.keys())
      if (Number(key.split(' ')[1]) < turn) this.built.delete(key);
  }
}

async function figuresOf(
  { variant, url, backend, before, turns }: Bench,
  first: Bench,
  turnEvents: number,
): Promise<Figures> {
  const events = (turns.length + 1) * turnEvents;
  const each = (key: keyof Turn): number =>
    (lowerQuartile(turns.map((turn) => turn[key])) / turnEvents) * 1_000;
  const wal = await backend.wal();
  return {
    name: variant.name,
    serverUs: each('serverMs'),
    clientUs: each('clientMs'),
    wallUs: each('wallMs'),
    ratio: median(turns.map(({ serverMs }, n) => serverMs / first.turns[n]!.serverMs)),
    wal: {
      bytes: (wal.bytes - before.bytes) / events,
      records: (wal.records - before.records) / events,
      pages: (wal.pages - before.pages) / events,
    },
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
