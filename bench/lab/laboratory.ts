// Variants of the ledger's write, in one Postgres, in turns: each in a database of its own, all
// with the same rows. What counts is the CPU of the server's process for one event, and its share
// of what the first variant needs in the same turn; a noisy neighbour then touches both alike.
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { type Backend, type Wal, connectBackend } from './backend.ts';
import { asOwner, copyDatabase, openTemplate } from './databases.ts';
import { type DecidedBatch, decidedBatches } from './decided.ts';
import { type Figures, type Turn, figuresOf } from './figures.ts';
import { BATCH_EVENTS, DoesNotFit, type Variant, schemaOf, writeOf } from './variant.ts';

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
    for (const variant of variants.filter(fits)) {
      const name = nameOf(names.length);
      names.push(name);
      benches.push(await openBench(admin, template, name, variant));
    }
    await admin`checkpoint`;
    // The first turn compiles functions and makes plans.
    for (let turn = -1; turn < turns; turn++) {
      pool.nextTurn();
      for (const bench of rotated(benches, turn + 1)) await takeTurn(admin, bench, pool, turn);
    }
    return await Promise.all(
      benches.map(async (bench) => figuresOf(await measured(bench), benches[0]!.turns, turnEvents)),
    );
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

function fits(variant: Variant): boolean {
  try {
    schemaOf(variant);
    return true;
  } catch (error) {
    if (!(error instanceof DoesNotFit)) throw error;
    console.error(`left out: ${error.message}`);
    return false;
  }
}

async function openBench(
  admin: Sql,
  template: string,
  name: string,
  variant: Variant,
): Promise<Bench> {
  const url = await copyDatabase(admin, template, name);
  await asOwner(url, (owner) => owner.unsafe(schemaOf(variant)).simple());
  const backend = await connectBackend(url, variant.settings ?? {});
  return { variant, url, backend, before: await backend.wal(), turns: [] };
}

async function takeTurn(admin: Sql, bench: Bench, pool: BatchPool, turn: number): Promise<void> {
  const { variant, backend, turns } = bench;
  const { batchEvents = BATCH_EVENTS, beforeTurn } = variant;
  const write = writeOf(variant);
  const batches = pool.batchesOf(batchEvents);
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

async function measured({ variant: { name }, url, backend, before, turns }: Bench) {
  const { bytes, records, pages } = await backend.wal();
  const wal = {
    bytes: bytes - before.bytes,
    records: records - before.records,
    pages: pages - before.pages,
  };
  return { name, url, turns, wal };
}

function now(backend: Backend): Turn {
  const { user, system } = process.cpuUsage();
  const clientMs = (user + system) / 1_000;
  return { serverMs: backend.cpuMs(), clientMs, wallMs: performance.now() };
}

/** Batches of a turn, built once for all variants that take batches of that size. */
class BatchPool {
  private readonly sources = new Map<number, Generator<DecidedBatch>>();
  private readonly built = new Map<number, DecidedBatch[]>();

  constructor(private readonly turnEvents: number) {}

  nextTurn(): void {
    this.built.clear();
  }

  batchesOf(batchEvents: number): DecidedBatch[] {
    const source = this.sources.get(batchEvents) ?? decidedBatches(batchEvents);
    this.sources.set(batchEvents, source);
    const batches =
      this.built.get(batchEvents) ??
      Array.from({ length: this.turnEvents / batchEvents }, () => source.next().value);
    this.built.set(batchEvents, batches);
    return batches;
  }
}
