// T5: `npm run bench -- growth --entries 50000000 --dir <folder>`: does the ledger keep its pace as
// it grows? Takes T3 on the empty database, loads it to that size, and then takes T3 again in turns
// with a fresh one, pages of history, sizes, and `verify`. Stopped and started again on the same
// folder, it goes on.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openServices } from '../test/services.ts';
import { readOptions } from './lib/arguments.ts';
import { measureWorker } from './lib/backlog.ts';
import { earnings } from './lib/earnings.ts';
import { judge } from './lib/goals.ts';
import { growthMarkdown } from './lib/growth-text.ts';
import { type Stretch, loadUpTo } from './lib/growing.ts';
import { type HistoryTimes, measureHistory } from './lib/history-pages.ts';
import { type LastingStack, openLastingStack } from './lib/lasting-stack.ts';
import { describeMachine } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';
import { type Measurement, compare, printReport, saveReport } from './lib/rounds.ts';
import { sizesOf } from './lib/sizes.ts';

const USERS = 100_000;
const EVENTS_PER_SECOND_EXPECTED = 30_000;

const standard = {
  entries: 50_000_000,
  every: 2_500_000,
  dir: '.tallyrace-growth',
  seconds: 5,
  rounds: 3,
  /** Before each measurement: a page is read and logged whole when it is first touched. */
  warm: 20,
};
type GrowthOptions = typeof standard;

/** What was found before this start, kept beside the data. */
interface Kept {
  empty: Measurement[];
  stretches: Stretch[];
}

export async function growthBench(args: readonly string[]): Promise<number> {
  const options = readOptions(args, standard);
  const stack = await openLastingStack(options.dir);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const kept = await keptIn(options.dir);
    if (kept.empty.length === 0) await measureEmpty(stack, options, kept);
    await grow(stack, options, kept, stopping.signal);
    if (stopping.signal.aborted) {
      console.log(`stopped; the same command goes on with what is in ${options.dir}`);
      return 130;
    }
    return await measureGrown(stack, options, kept);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await stack.close();
  }
}

async function measureEmpty(
  stack: LastingStack,
  options: GrowthOptions,
  kept: Kept,
): Promise<void> {
  if ((await eventsIn(stack)) > 0)
    return void console.log('the ledger is not empty: its pace before is not known');
  for (let round = 1; round <= options.rounds; round++) {
    const measured = await measurePace(stack, options);
    console.log(`empty, round ${round}: ${Math.round(measured.perSecond)} entries/s`);
    kept.empty.push(measured);
  }
  await keep(options.dir, kept);
}

async function grow(
  stack: LastingStack,
  { entries, every, dir }: GrowthOptions,
  kept: Kept,
  signal: AbortSignal,
): Promise<void> {
  const writes: Promise<void>[] = [];
  await loadUpTo(stack, {
    ...{ entries, everyEntries: every, users: USERS, signal },
    onStretch(stretch) {
      kept.stretches.push(stretch);
      writes.push(keep(dir, kept));
      const { entries: reached, entriesPerSecond, walBytesEach } = stretch;
      console.log(
        `${reached.toLocaleString('en')} entries, ${Math.round(entriesPerSecond)}/s, ` +
          `${walBytesEach.toFixed(0)} bytes of WAL each`,
      );
    },
  });
  await Promise.all(writes);
}

async function measureGrown(
  stack: LastingStack,
  options: GrowthOptions,
  kept: Kept,
): Promise<number> {
  const sizes = await sizesOf(stack.owner);
  const events = await eventsIn(stack);
  const pace = await compare(
    {
      name: 'growth',
      target: 'limit: the same worker on an empty ledger',
      goals: [{ row: 'T5', figure: 'ratio', atLeast: 0.8 }],
      unit: 'entries/s',
      subject: () => measurePace(stack, options),
      limit: () => measureFresh(options),
    },
    options.rounds,
  );
  printReport(pace);
  await saveReport(pace);
  const history = await measureHistory(stack);
  const judged = [...pace.judged, judgePages(history)];
  const measured = { options, events, ...kept, sizes, pace, history, judged };
  // Saved before as well: to prove the books of so much takes minutes.
  await saveJson('growth-study', { machine: describeMachine(), ...measured });
  const verified = await stack.verify();
  const markdown = growthMarkdown({ ...measured, verified });
  await saveJson('growth-study', { machine: describeMachine(), ...measured, verified });
  console.log(`\n${markdown}\nsaved in ${await saveText('growth.md', markdown)}`);
  return verified.ok ? 0 : 1;
}

/** T3 on this ledger; its worker is stopped afterwards. */
async function measurePace(stack: LastingStack, options: GrowthOptions): Promise<Measurement> {
  const start = () => stack.startWorker();
  return measureWorker(stack, earningsOf(options), start, warmEvents(options)).finally(() =>
    stack.stopWorker(),
  );
}

async function measureFresh(options: GrowthOptions): Promise<Measurement> {
  const stack = await openServices('bench');
  try {
    await stack.createTenant('bench');
    const start = () => stack.startWorker({ NODE_ENV: 'production' });
    return await measureWorker(stack, earningsOf(options), start, warmEvents(options));
  } finally {
    await stack.close();
  }
}

let feeds = 0;

function warmEvents({ warm }: GrowthOptions): number {
  return warm * EVENTS_PER_SECOND_EXPECTED;
}

function earningsOf({ seconds, warm }: GrowthOptions) {
  const run = `t${Date.now().toString(36)}-${feeds++}`;
  return earnings(Math.round((seconds + warm) * EVENTS_PER_SECOND_EXPECTED), USERS, run);
}

function judgePages({ warm }: HistoryTimes) {
  const subject = { perSecond: 0, p99Ms: warm.p99Ms, rssMb: {} };
  const report = { name: 'history, 50 a page', unit: 'pages/s', subject, ratio: null };
  return judge({ row: 'T5', figure: 'p99Ms', below: 10 }, report);
}

async function eventsIn({ owner }: LastingStack): Promise<number> {
  const [row] = await owner<{ events: number }[]>`
    select coalesce(sum(posted), 0)::int as events from streams`;
  return row!.events;
}

async function keptIn(dir: string): Promise<Kept> {
  const file = join(dir, 'growth.json');
  if (!existsSync(file)) return { empty: [], stretches: [] };
  return (await Bun.file(file).json()) as Kept;
}

async function keep(dir: string, kept: Kept): Promise<void> {
  await Bun.write(join(dir, 'growth.json'), JSON.stringify(kept));
}
