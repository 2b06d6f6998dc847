// The benches: `npm run bench -- [name] [--seconds n] [--rounds n]`. Each measures the product and
// the physical limit it is held against in turns, in one run, and leaves JSON in bench/results.
import { parseArgs } from 'node:util';
import { ingestBench } from './ingest.ts';
import { ledgerBench } from './ledger.ts';
import { type Comparison, ROUNDS, compare, printReport, saveReport } from './lib/rounds.ts';
import { validateBench } from './validate.ts';

const benches: Record<string, (seconds: number) => Comparison[]> = {
  validate: validateBench,
  ingest: ingestBench,
  ledger: ledgerBench,
};

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: String(ROUNDS) },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const names = positionals.length > 0 ? positionals : Object.keys(benches);
const unknown = names.filter((name) => !benches[name]);
if (unknown.length > 0 || !(seconds > 0) || !(rounds >= 1)) {
  const known = Object.keys(benches).join(', ');
  console.error(`usage: bench [name] [--seconds n] [--rounds n]   names: ${known}`);
  process.exit(2);
}

for (const name of names) {
  for (const comparison of benches[name]!(seconds)) {
    const turns = Math.min(rounds, comparison.rounds ?? rounds);
    console.log(`${comparison.name}: ${turns} rounds of about ${seconds} s on each side`);
    const report = await compare(comparison, turns);
    printReport(report);
    console.log(`  saved    ${await saveReport(report)}`);
  }
}
