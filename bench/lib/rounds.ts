// Subject and limit take turns in one run, since a shared machine is not the same from one minute
// to the next; the ratio is made of the medians of the rounds. A bench whose target is a time has
// no limit beside it.
import { type Goal, type Judged, goalsText, judge } from './goals.ts';
import { type Machine, describeMachine, machineText } from './machine.ts';
import { saveJson } from './results.ts';

export interface Measurement {
  perSecond: number;
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
  /** What took that long; left out for an answer to one request. */
  timed?: string;
  /** CPU seconds used per second of wall clock, by name of process. */
  cores: Record<string, number>;
  /** Peaks of the time measured. */
  rssMb: Record<string, number>;
  /** Of one encoded event, where the bench is about encoding. */
  bytesEach?: number;
  /** Anything that makes the figure doubtful, such as answers other than expected. */
  doubts?: string[];
}

export interface Comparison {
  name: string;
  /** What it is held to, or against, in words; the goals are what is judged. */
  target?: string;
  goals?: readonly Goal[];
  unit: string;
  subject: () => Promise<Measurement>;
  limit?: () => Promise<Measurement>;
  /** Which figure the bench is about; the round in the middle is found by it. */
  figure?: 'perSecond' | 'p99Ms';
  /** At most so many, for a bench that takes long and tells the same each time. */
  rounds?: number;
}

export interface Round {
  subject: Measurement;
  limit: Measurement | null;
}

export interface Report {
  name: string;
  target: string;
  unit: string;
  machine: Machine;
  rounds: Round[];
  subject: Measurement;
  limit: Measurement | null;
  ratio: number | null;
  judged: Judged[];
}

/** What the command line asks of every bench; each takes what concerns it. */
export interface BenchOptions {
  seconds: number;
  /** Events per second of an open loop; null for those of the targets. */
  rate: number | null;
  /** Events in one request of an open loop. */
  batch: number;
}

export const ROUNDS = 3;

export async function compare(comparison: Comparison, rounds: number): Promise<Report> {
  const measured: Round[] = [];
  for (let round = 1; round <= rounds; round++) {
    if (comparison.limit) showProgress(`round ${round} of ${rounds}: the limit`);
    const limit = (await comparison.limit?.()) ?? null;
    showProgress(`round ${round} of ${rounds}: the product`);
    measured.push({ limit, subject: await comparison.subject() });
  }
  showProgress('');
  return reportOf(comparison, measured);
}

function reportOf(comparison: Comparison, rounds: Round[]): Report {
  const { name, unit, goals = [], figure = 'perSecond' } = comparison;
  const limits = rounds.flatMap(({ limit }) => limit ?? []);
  const subject = medianOf(
    rounds.map((round) => round.subject),
    figure,
  );
  const limit = limits.length > 0 ? medianOf(limits, figure) : null;
  const ratio = limit && subject.perSecond / limit.perSecond;
  const judged = goals.map((goal) => judge(goal, { name, unit, subject, ratio }));
  const target = [goalsText(goals, unit), comparison.target].filter(Boolean).join('; ');
  const machine = describeMachine();
  return { name, target, unit, machine, rounds, subject, limit, ratio, judged };
}

/** One line that is written over, where somebody watches. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** The round in the middle, whole: its percentiles and its rate belong together. */
function medianOf(measurements: Measurement[], figure: 'perSecond' | 'p99Ms'): Measurement {
  const sorted = measurements.toSorted((a, b) => a[figure]! - b[figure]!);
  const doubts = measurements.flatMap((measurement) => measurement.doubts ?? []);
  return { ...sorted[Math.floor(sorted.length / 2)]!, doubts };
}

export function printReport({ name, target, unit, machine, rounds, ...report }: Report): void {
  console.log(`\n${name}  (target: ${target})`);
  printMeasurement('subject', unit, report.subject);
  if (report.limit) printMeasurement('limit', unit, report.limit);
  const ratio = report.ratio === null ? '' : `ratio ${report.ratio.toFixed(2)}, `;
  console.log(`           ${ratio}medians of ${rounds.length} rounds`);
  for (const { goal, figure, met } of report.judged)
    console.log(`  ${met ? 'met     ' : 'MISSED  '} ${goal}: ${figure}`);
  console.log(`  machine  ${machineText(machine)}`);
}

function printMeasurement(label: string, unit: string, measured: Measurement): void {
  const rate = `${Math.round(measured.perSecond).toLocaleString('en')} ${unit}`;
  const bytes = measured.bytesEach ? `  ${measured.bytesEach.toFixed(0)} bytes each` : '';
  console.log(`  ${label.padEnd(8)} ${rate.padEnd(22)} ${latencyText(measured)}${bytes}`);
  console.log(`           cores: ${pairs(measured.cores, 2)}`);
  const each = pairs(cpuMicrosecondsEach(measured), 1);
  console.log(`           CPU µs each: ${each}; peak MB: ${pairs(measured.rssMb, 0)}`);
  for (const doubt of measured.doubts ?? []) console.log(`           doubtful: ${doubt}`);
}

function latencyText({ p50Ms, p95Ms, p99Ms, timed }: Measurement): string {
  if (p50Ms === undefined) return '';
  const what = timed ? `  (${timed})` : '';
  return `p50 ${ms(p50Ms)}  p95 ${ms(p95Ms)}  p99 ${ms(p99Ms)}${what}`;
}

/** What one request or event costs each process: the figure that other load touches least. */
export function cpuMicrosecondsEach({ cores, perSecond }: Measurement): Record<string, number> {
  const entries = Object.entries(cores);
  return Object.fromEntries(entries.map(([name, used]) => [name, (used / perSecond) * 1e6]));
}

function ms(value: number | undefined): string {
  return `${(value ?? 0).toFixed((value ?? 0) < 0.1 ? 3 : 2)} ms`;
}

function pairs(values: Record<string, number>, digits: number): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value.toFixed(digits)}`)
    .join(', ');
}

export function saveReport(report: Report): Promise<string> {
  return saveJson(report.name, report);
}
