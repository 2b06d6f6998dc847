// T3: one worker against the same rows by bare SQL. The streams are full before the worker starts,
// and the first tenth is not timed, so its start does not count.
// Hot accounts: the same worker with users by Zipf's law, and with one account in every event,
// against users drawn evenly and nothing in common.
import { connectPostgres } from '../src/io/postgres.ts';
import { type Stack, openServices } from '../test/services.ts';
import { WARM_UP_SHARE, measureWorker } from './lib/backlog.ts';
import { type Earning, LEGS, type Law, earnings } from './lib/earnings.ts';
import { Histogram } from './lib/histogram.ts';
import { watch } from './lib/machine.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { startSpreadWorker } from './lib/servers.ts';
import { buildBatches, writeBatches } from './limits/bare-ledger.ts';

const USERS = 100_000;
const BATCH_EVENTS = 2_000;
const EVENTS_PER_SECOND_EXPECTED = 30_000;

export function ledgerBench({ seconds }: BenchOptions): Comparison[] {
  const events = eventsFor(seconds, 'zipf');
  return [
    {
      name: 'ledger',
      goals: [
        { row: 'T3', figure: 'ratio', atLeast: 0.8 },
        { row: 'T3', figure: 'perSecond', atLeast: 80_000 },
      ],
      unit: 'entries/s',
      subject: () => withServices((stack) => measureOurs(stack, events)),
      limit: () => withServices((stack) => measureBareSql(stack, events)),
    },
  ];
}

export function hotAccountsBench({ seconds }: BenchOptions): Comparison[] {
  const [even, skewed] = [eventsFor(seconds, 'uniform'), eventsFor(seconds, 'zipf')];
  const variants: Record<string, (stack: Stack) => Promise<Measurement>> = {
    'hot-accounts-zipf': (stack) => measureSpread(stack, skewed),
    'hot-accounts-platform': (stack) => measureOurs(stack, even),
    'hot-accounts-both': (stack) => measureOurs(stack, skewed),
  };
  return Object.entries(variants).map(([name, measure]) => ({
    name,
    target: 'limit: accounts drawn evenly, none in common',
    goals: [{ row: 'hot accounts', figure: 'ratio', atLeast: 0.85 }],
    unit: 'entries/s',
    subject: () => withServices(measure),
    limit: () => withServices((stack) => measureSpread(stack, even)),
  }));
}

function measureOurs(stack: Stack, events: readonly Earning[]): Promise<Measurement> {
  return measureWorker(stack, events, () => stack.startWorker({ NODE_ENV: 'production' }));
}

async function measureSpread(stack: Stack, events: readonly Earning[]): Promise<Measurement> {
  const started: ReturnType<typeof startSpreadWorker>[] = [];
  const start = (): { pid: number } => (started[0] = startSpreadWorker(stack));
  return measureWorker(stack, events, start).finally(() => started[0]?.stop());
}

function eventsFor(seconds: number, law: Law): Earning[] {
  return earnings(Math.round(seconds * EVENTS_PER_SECOND_EXPECTED), USERS, 'evt', law);
}

async function withServices(measure: (stack: Stack) => Promise<Measurement>): Promise<Measurement> {
  const stack = await openServices('bench');
  try {
    await stack.createTenant('bench');
    return await measure(stack);
  } finally {
    await stack.close();
  }
}

async function measureBareSql(stack: Stack, events: readonly Earning[]): Promise<Measurement> {
  const batches = buildBatches(events, BATCH_EVENTS);
  const sql = connectPostgres(stack.databaseUrl, { max: 1, name: 'bare', asOwner: true });
  try {
    const warm = Math.ceil(batches.length * WARM_UP_SHARE);
    await writeBatches(sql, batches.slice(0, warm));
    const used = watch({ postgres: stack.postgresPid });
    const times = new Histogram();
    const startMs = performance.now();
    await writeBatches(sql, batches.slice(warm), (ms) => times.record(ms));
    const seconds = (performance.now() - startMs) / 1000;
    const perSecond = ((events.length - warm * BATCH_EVENTS) * LEGS) / seconds;
    const { p50Ms, p95Ms, p99Ms } = times.summary();
    return {
      ...{ perSecond, p50Ms, p95Ms, p99Ms },
      timed: `a write of ${BATCH_EVENTS}`,
      ...used(seconds),
    };
  } finally {
    await sql.end();
  }
}
