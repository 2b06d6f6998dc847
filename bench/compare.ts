// `npm run bench -- compare old new`: what changed between two runs beyond the spread of their
// rounds. Takes two files, or two folders of whole runs, whose benches are paired by name.
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Change, type Range, changesBetween, sameMachine } from './lib/changes.ts';
import type { Report } from './lib/rounds.ts';

/** Gives the exit code: 2 for what cannot be compared; a change is no failure. */
export async function compareBench(args: readonly string[]): Promise<number> {
  const [oldPath, newPath] = args;
  if (!oldPath || !newPath || args.length > 2) {
    console.error('usage: bench compare <old> <new>, both a JSON file or both a folder of a run');
    return 2;
  }
  try {
    for (const [before, after] of await pairs(oldPath, newPath)) compareReports(before, after);
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return 2;
  }
}

async function pairs(oldPath: string, newPath: string): Promise<[Report, Report][]> {
  if (!statSync(oldPath).isDirectory()) {
    const [before, after] = await Promise.all([readReport(oldPath), readReport(newPath)]);
    if (before.name !== after.name)
      throw new Error(`${before.name} and ${after.name} are different benches`);
    return [[before, after]];
  }
  const [before, after] = await Promise.all([readRun(oldPath), readRun(newPath)]);
  for (const name of before.keys()) if (!after.has(name)) console.log(`${name}: only in the old`);
  for (const name of after.keys()) if (!before.has(name)) console.log(`${name}: only in the new`);
  return [...before].flatMap(([name, report]): [Report, Report][] => {
    const other = after.get(name);
    return other ? [[report, other]] : [];
  });
}

/** The reports of a folder by name; other JSON, such as a summary, is left alone. */
async function readRun(folder: string): Promise<Map<string, Report>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json')).sort();
  const all = await Promise.all(files.map((file) => Bun.file(join(folder, file)).json()));
  const reports = (all as Partial<Report>[]).filter((report): report is Report =>
    Array.isArray(report.rounds),
  );
  if (reports.length === 0) throw new Error(`${folder} holds no report of a bench`);
  return new Map(reports.map((report) => [report.name, report]));
}

async function readReport(file: string): Promise<Report> {
  const report = (await Bun.file(file).json()) as Report;
  if (!Array.isArray(report.rounds) || report.rounds.length === 0)
    throw new Error(`${file} holds no rounds: it is not a report of a bench, or of an older one`);
  return report;
}

function compareReports(before: Report, after: Report): void {
  const described = ({ machine, rounds }: Report): string =>
    `commit ${machine.commit}, ${rounds.length} rounds, ${machine.at}`;
  console.log(
    `\n${before.name}  (${before.unit})\n  old: ${described(before)}\n  new: ${described(after)}`,
  );
  if (!sameMachine(before, after))
    console.log('  The machines differ: only the ratio says something about the program.');
  for (const change of changesBetween(before, after)) console.log(lineOf(change));
}

function lineOf({ figure, before, after, factor, verdict }: Change): string {
  const words = {
    better: 'better',
    worse: 'WORSE',
    changed: 'changed',
    same: 'within the spread',
    machine: 'so has the limit: the machine',
    unknown: 'too few rounds to tell',
  };
  const ranges = `${rangeText(before)}  ->  ${rangeText(after)}`;
  const certain = factor ? `${percent(factor.low)} to ${percent(factor.high)}` : '';
  return `  ${figure.padEnd(20)} ${ranges}  ${certain.padEnd(20)} ${words[verdict]}`;
}

function percent(factor: number): string {
  const change = (factor - 1) * 100;
  return `${change < 0 ? '' : '+'}${Math.abs(change) > 999 ? '∞' : change.toFixed(0)} %`;
}

function rangeText({ low, middle, high }: Range): string {
  return `${short(middle)} (${short(low)} to ${short(high)})`.padEnd(34);
}

function short(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
