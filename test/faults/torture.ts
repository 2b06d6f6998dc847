// `npm run torture -- --seeds 500`: one fault run after the other, several at once, each from a
// seed of its own. A line for each, a table at the end; exit 1 when any failed, or when something
// that the runs were to meet was never met. Logs of failed runs are kept.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Verdict, runSeed } from './seed-run.ts';
import { cutSightings, sightings } from './sightings.ts';
import { Slot } from './slot.ts';

/** One run in so many has Redis's log cut behind what it had acknowledged. */
const CUTS_EVERY = 8;
/** Fewer runs than this may miss what is rare. */
const EXPECTS_ALL_FROM = 20;

const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    parallel: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '3' },
  },
});

const first = Number(options.seed ?? options.from);
const count = options.seed === undefined ? Number(options.seeds) : 1;
const loadMs = Number(options.seconds) * 1_000;
const parallel = Math.min(Number(options.parallel), count);
if (![first, count, loadMs, parallel].every((n) => Number.isFinite(n) && n > 0)) {
  console.error('torture [--seeds N] [--from N] [--seed N] [--parallel N] [--seconds S]');
  process.exit(2);
}

const verdicts: Verdict[] = [];
let next = first;
const startedAt = performance.now();
// What has begun is ended and judged.
process.once('SIGINT', () => (next = Infinity));
await Promise.all(Array.from({ length: parallel }, lane));
process.exit(report());

async function lane(): Promise<void> {
  const slot = await Slot.open();
  let failed = false;
  try {
    while (next < first + count) {
      const seed = next++;
      const verdict = await runSeed(seed, slot, { loadMs, cuts: seed % CUTS_EVERY === 0 });
      verdicts.push(verdict);
      tell(verdict, slot);
      if (verdict.problems.length > 0) failed = true;
      else rmSync(join(slot.dir, `seed-${seed}`), { recursive: true, force: true });
    }
  } finally {
    await slot.close(failed);
  }
}

function tell({ seed, seconds, counts, faults, sights, problems }: Verdict, slot: Slot): void {
  const operations = `${counts.ok}/${counts.failed}/${counts.unknown}`;
  const word = problems.length === 0 ? 'ok  ' : 'FAIL';
  console.log(
    `${word} ${seed} ${seconds.toFixed(1)} s  ok/failed/unknown ${operations}  ` +
      `[${faults.join(' ')}]  met ${sights.join(' ')}`,
  );
  for (const problem of problems) console.log(`     ${problem.split('\n').join('\n     ')}`);
  if (problems.length > 0) {
    console.log(`     logs: ${join(slot.dir, `seed-${seed}`)}`);
    console.log(`     again: npm run torture -- --seed ${seed} --seconds ${options.seconds}`);
  }
}

/** Gives the exit code. */
function report(): number {
  const failed = verdicts.filter(({ problems }) => problems.length > 0);
  const sum = (of: (verdict: Verdict) => number): number =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  console.log(`\n${verdicts.length} runs, ${failed.length} failed`);
  console.log(`${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes`);
  for (const outcome of ['ok', 'failed', 'unknown'] as const)
    console.log(`operations ${outcome.padEnd(9)} ${sum(({ counts }) => counts[outcome])}`);
  const hits = (what: string): number =>
    sum(({ sights, faults }) => Number([...sights, ...faults].includes(what as never)));
  const faults = [...new Set(verdicts.flatMap((verdict) => verdict.faults))].sort();
  console.log('\nruns with fault');
  for (const name of faults) console.log(`  ${name.padEnd(20)} ${hits(name)}`);
  console.log('\nruns that met');
  const wanted = [...sightings, ...cutSightings];
  for (const name of wanted) console.log(`  ${name.padEnd(20)} ${hits(name)}`);
  const missed =
    verdicts.length < EXPECTS_ALL_FROM ? [] : wanted.filter((name) => hits(name) === 0);
  if (missed.length > 0) console.log(`\nnever met: ${missed.join(', ')}`);
  if (failed.length > 0) console.log(`\nfailed: ${failed.map(({ seed }) => seed).join(' ')}`);
  return failed.length === 0 && missed.length === 0 ? 0 : 1;
}
