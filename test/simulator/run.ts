// `npm run simulate -- --seeds N --steps M [--seed S]`: many runs of the simulator, or one again.
// Stops at the first violation, shrinks it and says in words how it came about.
// Invariant: exits with 1 when an invariant was violated.
import { Command, InvalidArgumentError } from 'commander';
import { explain } from './report.ts';
import { planOf, simulate } from './simulate.ts';

interface Options {
  seeds: number;
  steps: number;
  from: number;
  seed?: number;
}

const given = new Command('simulate')
  .option('--seeds <count>', 'how many runs', integer, 1_000)
  .option('--steps <count>', 'stop after so many steps', integer, Number.MAX_SAFE_INTEGER)
  .option('--from <seed>', 'the first seed', integer, 1)
  .option('--seed <seed>', 'this one only', integer)
  .parse()
  .opts<Options>();

process.exitCode = run(given);

function run({ seeds, steps: stepsMax, from, seed }: Options): number {
  const [first, count] = seed === undefined ? [from, seeds] : [seed, 1];
  const seen = new Map<string, number>();
  const startMs = process.cpuUsage().user / 1_000;
  let steps = 0;
  let runs = 0;
  for (; runs < count && steps < stepsMax; runs++) {
    const outcome = simulate(planOf(first + runs));
    steps += outcome.steps;
    for (const [what, times] of outcome.seen) seen.set(what, (seen.get(what) ?? 0) + times);
    if (seed !== undefined) console.log(`hash ${outcome.hash.toString(16)}`);
    if (!outcome.violation) continue;
    console.log(explain(planOf(first + runs)));
    return 1;
  }
  const seconds = (process.cpuUsage().user / 1_000 - startMs) / 1_000;
  for (const [what, times] of [...seen].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${String(times).padStart(9)}  ${what}`);
  const rate = Math.round(steps / seconds / 1_000);
  console.log(`seeds ${first} to ${first + runs - 1}: ${steps} steps, ${rate},000 a CPU second`);
  return 0;
}

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('not a count');
  return value;
}
