// The benches: `npm run bench -- [name ...] [options]`. Each measures the product and the physical
// limit it is held against in turns, in one run, and leaves JSON in bench/results; at the end stands
// a table of the targets. What takes its own arguments is a study. docs/benchmarks.md has it all.
import { parseArgs } from 'node:util';
import { codecBench } from './codec.ts';
import { compareBench } from './compare.ts';
import { endToEndBench } from './end-to-end.ts';
import { fanOutBench } from './fan-out.ts';
import { ingestBench } from './ingest.ts';
import { hotAccountsBench, ledgerBench } from './ledger.ts';
import { type Judged, summaryMarkdown } from './lib/goals.ts';
import { describeMachine } from './lib/machine.ts';
import { resultsFolder, saveJson, saveText } from './lib/results.ts';
import {
  type BenchOptions,
  type Comparison,
  ROUNDS,
  compare,
  printReport,
  saveReport,
} from './lib/rounds.ts';
import { redemptionBench } from './redemption.ts';
import { rulesBench } from './rules.ts';
import { validateBench } from './validate.ts';

/** Run by name, and all of them when none is named. */
const benches: Record<string, (options: BenchOptions) => Comparison[]> = {
  codec: codecBench,
  rules: rulesBench,
  validate: validateBench,
  ingest: ingestBench,
  ledger: ledgerBench,
  'hot-accounts': hotAccountsBench,
  'end-to-end': endToEndBench,
  redemption: redemptionBench,
  'fan-out': fanOutBench,
};

/** Run only by name, with arguments of their own; they give the exit code. */
const studies: Record<string, (args: readonly string[]) => Promise<number>> = {
  compare: compareBench,
};

const USAGE = `usage: bench [name ...] [--seconds n] [--rounds n]
       bench end-to-end [--rate events a second] [--batch events a request]
       bench <study> [options], --help for each
names:   ${Object.keys(benches).join(', ')}
studies: ${Object.keys(studies).join(', ')}`;

const [first = '', ...rest] = process.argv.slice(2);
process.exitCode = await (studies[first]?.(rest) ?? runBenches(process.argv.slice(2)));

async function runBenches(args: string[]): Promise<number> {
  const asked = readArguments(args);
  if (!asked) return 2;
  const judged: Judged[] = [];
  for (const name of asked.names)
    for (const comparison of benches[name]!(asked.options)) {
      const turns = Math.min(asked.rounds, comparison.rounds ?? asked.rounds);
      const { seconds } = asked.options;
      console.log(`${comparison.name}: ${turns} rounds of about ${seconds} s on each side`);
      const report = await compare(comparison, turns);
      printReport(report);
      await saveReport(report);
      judged.push(...report.judged);
    }
  await summarise(judged);
  return 0;
}

async function summarise(judged: readonly Judged[]): Promise<void> {
  const machine = describeMachine();
  const markdown = summaryMarkdown(machine, judged);
  if (judged.length > 0) console.log(`\n${markdown}`);
  await saveText('summary.md', markdown);
  await saveJson('summary', { machine, judged });
  console.log(`saved in ${resultsFolder()}`);
}

function readArguments(args: string[]) {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '5' },
        rounds: { type: 'string', default: String(ROUNDS) },
        rate: { type: 'string' },
        batch: { type: 'string', default: '1' },
      },
    });
    const rate = values.rate === undefined ? null : Number(values.rate);
    const [seconds, rounds, batch] = [values.seconds, values.rounds, values.batch].map(Number);
    const names = positionals.length > 0 ? positionals : Object.keys(benches);
    const unknown = names.filter((name) => !benches[name]);
    if (unknown.length > 0) throw new Error(`there is no bench ${unknown.join(', ')}`);
    const numbers = seconds! > 0 && rounds! >= 1 && (rate === null || rate > 0) && batch! >= 1;
    if (!numbers || !Number.isInteger(batch)) throw new Error('options are numbers above 0');
    return { names, rounds: rounds!, options: { seconds: seconds!, rate, batch: batch! } };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return null;
  }
}
