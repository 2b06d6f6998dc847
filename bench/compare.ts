// `npm run bench -- compare old.json new.json`: what changed between two runs of one bench beyond
// the spread of their rounds.
import { type Change, type Range, changesBetween, sameMachine } from './lib/changes.ts';
import type { Report } from './lib/rounds.ts';

export async function compareReports(oldFile: string, newFile: string): Promise<void> {
  const [before, after] = await Promise.all([readReport(oldFile), readReport(newFile)]);
  if (before.name !== after.name)
    throw new Error(`${before.name} and ${after.name} are different benches`);
  const described = ({ machine, rounds }: Report): string =>
    `commit ${machine.commit}, ${rounds.length} rounds, ${machine.at}`;
  console.log(
    `${before.name}  (${before.unit})\n  old: ${described(before)}\n  new: ${described(after)}`,
  );
  if (!sameMachine(before, after))
    console.log('  The machines differ: only the ratio says something about the program.');
  for (const change of changesBetween(before, after)) console.log(lineOf(change));
}

async function readReport(file: string): Promise<Report> {
  const report = (await Bun.file(file).json()) as Report;
  if (!Array.isArray(report.rounds) || report.rounds.length === 0)
    throw new Error(`${file} holds no rounds: it is not a report of a bench, or of an older one`);
  return report;
}

function lineOf({ figure, before, after, verdict }: Change): string {
  const difference = before.middle === 0 ? 0 : (after.middle / before.middle - 1) * 100;
  const percent = `${difference < 0 ? '' : '+'}${difference.toFixed(0)} %`;
  const words = {
    better: 'better',
    worse: 'WORSE',
    changed: 'changed',
    same: 'within the spread',
    unknown: 'one round has no spread',
  };
  const ranges = `${rangeText(before)}  ->  ${rangeText(after)}`;
  return `  ${figure.padEnd(20)} ${ranges}  ${percent.padStart(7)}  ${words[verdict]}`;
}

function rangeText({ low, middle, high }: Range): string {
  return `${short(middle)} (${short(low)} to ${short(high)})`.padEnd(36);
}

function short(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toFixed(2);
}
