// `npm run bench -- verify --entries 50000000 --dir <folder>`: how long `tallyrace verify` takes on
// a ledger of that size: the first time, with nothing new, with so many new entries, and all of it;
// and what it costs a worker that writes meanwhile.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { producerClient, redisReady } from '../src/io/redis.ts';
import { readOptions } from './lib/arguments.ts';
import { measureWorker } from './lib/backlog.ts';
import { earnings } from './lib/earnings.ts';
import { fillLedger } from './lib/filled-ledger.ts';
import { markdownTable } from './lib/goals.ts';
import { type LastingStack, openLastingStack } from './lib/lasting-stack.ts';
import { describeMachine, machineText, watch } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';

const standard = {
  entries: 1_000_000,
  /** Come between two runs. */
  fresh: 100_000,
  /** Kept when given; else a folder that is gone afterwards. */
  dir: '',
  rounds: 2,
  seconds: 5,
};
type VerifyOptions = typeof standard;

interface Run {
  name: string;
  ok: boolean;
  seconds: number;
  cores: number;
  peakMb: number;
  verdict: { looked_at: number; scope: string; found: Record<string, number> };
}

const EVENTS_PER_SECOND_EXPECTED = 20_000;
const USERS = 100_000;

export async function verifyBench(args: readonly string[]): Promise<number> {
  const options = readOptions(args, standard);
  const dir = options.dir || mkdtempSync(join(tmpdir(), 'tallyrace-verify-'));
  const stack = await openLastingStack(dir);
  try {
    const runs = await measureRuns(stack, options);
    const pace = await measurePace(stack, options);
    const markdown = textOf(options, runs, pace);
    await saveJson('verify', { machine: describeMachine(), options, runs, pace });
    console.log(`\n${markdown}\nsaved in ${await saveText('verify.md', markdown)}`);
    return runs.every(({ ok }) => ok) ? 0 : 1;
  } finally {
    await stack.close();
    if (!options.dir) rmSync(dir, { recursive: true, force: true });
  }
}

async function measureRuns(stack: LastingStack, { entries, fresh }: VerifyOptions): Promise<Run[]> {
  const redis = producerClient(stack.redisUrl, 'bench-verify');
  await redisReady(redis);
  try {
    await fillLedger(stack.owner, redis, entries);
    // As autovacuum would have left it: the index on time knows all of it.
    await stack.owner`vacuum analyze`;
    const runs = [await measured(stack, 'the first'), await measured(stack, 'nothing new')];
    await fillLedger(stack.owner, redis, entries + fresh);
    runs.push(await measured(stack, `${fresh.toLocaleString('en')} new entries`));
    runs.push(await measured(stack, '--full', '--full'));
    return runs;
  } finally {
    redis.disconnect();
  }
}

async function measured(stack: LastingStack, name: string, ...flags: string[]): Promise<Run> {
  const used = watch({ postgres: stack.postgresPid });
  const { ok, seconds, output } = await stack.verify(...flags);
  const { cores, rssMb } = used(seconds);
  const verdict = JSON.parse(output) as Run['verdict'];
  console.log(`${name}: ${seconds.toFixed(1)} s`, ok ? '' : output);
  return { name, ok, seconds, cores: cores['postgres']!, peakMb: rssMb['postgres']!, verdict };
}

/** Entries a second of a worker, in turns alone and beside `verify --full` without a pause. */
async function measurePace(stack: LastingStack, { rounds, seconds }: VerifyOptions) {
  const pace = { alone: [] as number[], beside: [] as number[] };
  for (let round = 1; round <= rounds; round++)
    for (const turn of ['alone', 'beside'] as const) {
      const count = seconds * EVENTS_PER_SECOND_EXPECTED;
      const events = earnings(count, USERS, `v${Date.now().toString(36)}`);
      let wanted = turn === 'beside';
      const verifying = (async () => {
        while (wanted) await stack.verify('--full');
      })();
      const { perSecond } = await measureWorker(stack, events, () => stack.startWorker());
      wanted = false;
      await Promise.all([verifying, stack.stopWorker()]);
      pace[turn].push(Math.round(perSecond));
      console.log(`${turn}, round ${round}: ${Math.round(perSecond)} entries/s`);
    }
  return pace;
}

function textOf(
  { entries }: VerifyOptions,
  runs: readonly Run[],
  { alone, beside }: { alone: number[]; beside: number[] },
): string {
  const sum = (all: number[]): number => all.reduce((total, one) => total + one, 0);
  return [
    `${machineText(describeMachine())}; ${entries.toLocaleString('en')} entries.\n`,
    markdownTable(
      ['run', 'seconds', 'rows of shut time', 'cores of Postgres', 'peak MB of a process', ''],
      runs.map(({ name, seconds, cores, peakMb, verdict, ok }) => [
        name,
        seconds.toFixed(1),
        verdict.looked_at.toLocaleString('en'),
        cores.toFixed(2),
        peakMb.toFixed(0),
        ok ? 'holds' : `**${JSON.stringify(verdict.found)}**`,
      ]),
    ),
    `A worker writes ${alone.join(', ')} entries/s alone, and ${beside.join(', ')} beside ` +
      `\`verify --full\`: ratio ${(sum(beside) / sum(alone)).toFixed(2)}.\n`,
  ].join('\n');
}
