// `npm run bench -- check`: has something become much slower? Short benches, ratios only, so that
// any machine can say, held to the floors of floors.json, which lie well below what was measured.
// Exit 1 and a line for each ratio below its floor. An idle machine helps, a quiet one need not be.
import { codecBench } from './codec.ts';
import floors from './floors.json' with { type: 'json' };
import { ingestBench } from './ingest.ts';
import { ledgerBench } from './ledger.ts';
import { readOptions } from './lib/arguments.ts';
import { belowFloors } from './lib/floors.ts';
import { type Report, compare, saveReport } from './lib/rounds.ts';
import { redemptionBench } from './redemption.ts';
import { rulesBench } from './rules.ts';
import { validateBench } from './validate.ts';

const suites = [codecBench, rulesBench, validateBench, ingestBench, ledgerBench, redemptionBench];

export async function checkBench(args: readonly string[]): Promise<number> {
  const { seconds, rounds } = readOptions(args, { seconds: 2, rounds: 3 });
  const wanted = new Map(Object.entries(floors));
  const reports: Report[] = [];
  for (const suite of suites)
    for (const comparison of suite({ seconds, rate: null, batch: 1 })) {
      const floor = wanted.get(comparison.name);
      if (floor === undefined) continue;
      const report = await compare(comparison, rounds);
      const { ratio } = report;
      console.log(`${report.name.padEnd(22)} ratio ${ratio?.toFixed(2)}, floor ${floor}`);
      await saveReport(report);
      reports.push(report);
    }
  const findings = belowFloors(wanted, reports);
  for (const finding of findings) console.error(`REGRESSION? ${finding}`);
  if (findings.length === 0) console.log(`all ${reports.length} ratios are above their floors`);
  return findings.length === 0 ? 0 : 1;
}
