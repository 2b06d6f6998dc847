// The benches: `npm run bench -- [name ...] [options]`. Each measures the product and the physical
// limit it is held against in turns, in one run, and leaves JSON in bench/results; at the end is a
// table of the targets. What takes arguments of its own is a study. See docs/benchmarks.md.
import { checkBench } from './check.ts';
import { codecBench } from './codec.ts';
import { compareBench } from './compare.ts';
import { endToEndBench } from './end-to-end.ts';
import { fanOutBench } from './fan-out.ts';
import { growthBench } from './growth.ts';
import { fsyncBench } from './lab/fsync.ts';
import { layoutBench } from './lab/layout.ts';
import { readsBench } from './lab/reads.ts';
import { ingestBench } from './ingest.ts';
import { hotAccountsBench, ledgerBench } from './ledger.ts';
import { UsageError, readOptions } from './lib/arguments.ts';
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
import { loadBench } from './load.ts';
import { memoryBench } from './memory.ts';
import { overloadBench } from './overload.ts';
import { paymentsBench } from './payments.ts';
import { recoveryBench } from './recovery.ts';
import { redemptionBench } from './redemption.ts';
import { riskBench } from './risk.ts';
import { rulesBench } from './rules.ts';
import { stallsBench } from './stalls.ts';
import { validateBench } from './validate.ts';
import { verifyBench } from './verify.ts';
import { webhooksInBench } from './webhooks-in.ts';

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
  payments: paymentsBench,
  'fan-out': fanOutBench,
};

/** Run only by name, with arguments of their own; they give the exit code. */
const studies: Record<string, (args: readonly string[]) => Promise<number>> = {
  check: checkBench,
  compare: compareBench,
  fsync: fsyncBench,
  growth: growthBench,
  layout: layoutBench,
  load: loadBench,
  memory: memoryBench,
  overload: overloadBench,
  reads: readsBench,
  recovery: recoveryBench,
  risk: riskBench,
  'webhooks-in': webhooksInBench,
  stalls: stallsBench,
  verify: verifyBench,
};

const USAGE = `usage: bench [name ...] [--seconds n] [--rounds n]
       bench end-to-end [--rate events a second] [--batch events a request]
       bench payments [--rate payments a second]
       bench <study> [options]
names:   ${Object.keys(benches).join(', ')}
studies: ${Object.keys(studies).join(', ')}`;

const [first = '', ...rest] = process.argv.slice(2);
try {
  process.exitCode = await (studies[first]?.(rest) ?? runBenches(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

async function runBenches(args: string[]): Promise<number> {
  const { names, options } = readArguments(args);
  const judged: Judged[] = [];
  const { seconds, rounds } = options;
  for (const name of names)
    for (const comparison of benches[name]!(options)) {
      const turns = Math.min(rounds, comparison.rounds ?? rounds);
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
  const named = args.findIndex((arg) => arg.startsWith('--'));
  const [names, flags] = named < 0 ? [args, []] : [args.slice(0, named), args.slice(named)];
  const unknown = names.filter((name) => !benches[name]);
  if (unknown.length > 0) throw new UsageError(`there is no bench ${unknown.join(', ')}\n${USAGE}`);
  const given = readOptions(flags, { seconds: 5, rounds: ROUNDS, rate: 0, batch: 1 });
  const options = { ...given, rate: given.rate > 0 ? given.rate : null };
  return { names: names.length > 0 ? names : Object.keys(benches), options };
}
