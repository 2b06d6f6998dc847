// Subject and limit take turns in one run, since a shared machine is not the same from one minute
// to the next; the ratio is made of the medians of the rounds. A bench whose target is a time has
// no limit beside it.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Machine, describeMachine } from './machine.ts';

export interface Measurement {
  perSecond: number;
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
  /** CPU seconds used per second of wall clock, by name of process. */
  cores: Record<string, number>;
  rssMb: Record<string, number>;
  /** Of one encoded event, where the bench is about encoding. */
  bytesEach?: number;
  /** Anything that makes the figure doubtful, such as answers other than expected. */
  doubts?: string[];
}

export interface Comparison {
  name: string;
  target: string;
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
}

/** What the command line asks of every bench; each takes what concerns it. */
export interface BenchOptions {
  seconds: number;
  /** Events per second of an open loop. */
  rate: number;
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
  const { name, target, unit, figure = 'perSecond' } = comparison;
  const limits = measured.flatMap(({ limit }) => limit ?? []);
  const subject = medianOf(
    measured.map((round) => round.subject),
    figure,
  );
  const limit = limits.length > 0 ? medianOf(limits, figure) : null;
  const ratio = limit && subject.perSecond / limit.perSecond;
  return {
    name,
    target,
    unit,
    machine: describeMachine(),
    rounds: measured,
    subject,
    limit,
    ratio,
  };
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
  console.log(
    `  machine  ${machine.cpu}, ${machine.cores} cores, ${machine.memoryMb} MB, ` +
      `Bun ${machine.bun}, commit ${machine.commit}`,
  );
}

function printMeasurement(label: string, unit: string, measured: Measurement): void {
  const rate = `${Math.round(measured.perSecond).toLocaleString('en')} ${unit}`;
  const { p50Ms, p95Ms, p99Ms } = measured;
  const latency = p50Ms === undefined ? '' : `p50 ${ms(p50Ms)}  p95 ${ms(p95Ms)}  p99 ${ms(p99Ms)}`;
  const cores = pairs(measured.cores, 2, 'cores');
  const bytes = measured.bytesEach ? `${measured.bytesEach.toFixed(0)} bytes each` : '';
  console.log(`  ${label.padEnd(8)} ${rate.padEnd(22)} ${latency}${bytes}`);
  console.log(`           ${cores}; ${pairs(measured.rssMb, 0, 'MB')}`);
  for (const doubt of measured.doubts ?? []) console.log(`           doubtful: ${doubt}`);
}

function ms(value: number | undefined): string {
  return `${(value ?? 0).toFixed(2)} ms`;
}

function pairs(values: Record<string, number>, digits: number, unit: string): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value.toFixed(digits)} ${unit}`)
    .join(', ');
}

export async function saveReport(report: Report): Promise<string> {
  const folder = join(import.meta.dir, '../results');
  mkdirSync(folder, { recursive: true });
  const stamp = report.machine.at.replaceAll(/[:.]/g, '-');
  const file = join(folder, `${report.name}-${stamp}.json`);
  await Bun.write(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}
