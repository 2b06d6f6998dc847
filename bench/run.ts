// The benches: `npm run bench -- [name] [--seconds n] [--rounds n]`. Each measures the product and
// the physical limit it is held against in turns, in one run, and leaves JSON in bench/results.
// `npm run bench -- compare old.json new.json` says what changed between two of those.
import { parseArgs } from 'node:util';
import { codecBench } from './codec.ts';
import { compareReports } from './compare.ts';
import { endToEndBench } from './end-to-end.ts';
import { fanOutBench } from './fan-out.ts';
import { ingestBench } from './ingest.ts';
import { ledgerBench } from './ledger.ts';
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

const benches: Record<string, (options: BenchOptions) => Comparison[]> = {
  codec: codecBench,
  rules: rulesBench,
  validate: validateBench,
  ingest: ingestBench,
  ledger: ledgerBench,
  'end-to-end': endToEndBench,
  redemption: redemptionBench,
  'fan-out': fanOutBench,
};

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: String(ROUNDS) },
    rate: { type: 'string', default: '5000' },
    batch: { type: 'string', default: '1' },
  },
});
const options = {
  seconds: Number(values.seconds),
  rate: Number(values.rate),
  batch: Number(values.batch),
};
const rounds = Number(values.rounds);

if (positionals[0] === 'compare') {
  if (positionals.length !== 3) endWithUsage();
  await compareReports(positionals[1]!, positionals[2]!).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  });
} else {
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const { seconds, rate, batch } = options;
  const sensible = seconds > 0 && rounds >= 1 && rate > 0 && Number.isInteger(batch) && batch > 0;
  if (names.some((name) => !benches[name]) || !sensible) endWithUsage();
  for (const name of names)
    for (const comparison of benches[name]!(options)) await measure(comparison);
}

async function measure(comparison: Comparison): Promise<void> {
  const turns = Math.min(rounds, comparison.rounds ?? rounds);
  console.log(`${comparison.name}: ${turns} rounds of about ${options.seconds} s on each side`);
  const report = await compare(comparison, turns);
  printReport(report);
  console.log(`  saved    ${await saveReport(report)}`);
}

function endWithUsage(): never {
  console.error(
    'usage: bench [name] [--seconds n] [--rounds n]\n' +
      '       bench end-to-end [--rate events a second] [--batch events a request]\n' +
      '       bench compare old.json new.json\n' +
      `names: ${Object.keys(benches).join(', ')}`,
  );
  process.exit(2);
}
