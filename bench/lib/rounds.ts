// Subject and limit take turns in one run, since a shared machine is not the same from one minute
// to the next; the ratio is made of the medians of the rounds.
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
  /** Anything that makes the figure doubtful, such as answers other than expected. */
  doubts?: string[];
}

export interface Comparison {
  name: string;
  target: string;
  unit: string;
  subject: () => Promise<Measurement>;
  limit: () => Promise<Measurement>;
  /** At most so many, for a bench that takes long and tells the same each time. */
  rounds?: number;
}

export interface Report {
  name: string;
  target: string;
  unit: string;
  machine: Machine;
  rounds: number;
  subject: Measurement;
  limit: Measurement;
  ratio: number;
}

export const ROUNDS = 3;

export async function compare(comparison: Comparison, rounds: number): Promise<Report> {
  const subjects: Measurement[] = [];
  const limits: Measurement[] = [];
  for (let round = 0; round < rounds; round++) {
    limits.push(await comparison.limit());
    subjects.push(await comparison.subject());
  }
  const subject = medianOf(subjects);
  const limit = medianOf(limits);
  const { name, target, unit } = comparison;
  const ratio = subject.perSecond / limit.perSecond;
  return { name, target, unit, machine: describeMachine(), rounds, subject, limit, ratio };
}

/** The round in the middle, whole: its percentiles and its rate belong together. */
function medianOf(measurements: Measurement[]): Measurement {
  const sorted = measurements.toSorted((a, b) => a.perSecond - b.perSecond);
  const doubts = measurements.flatMap((measurement) => measurement.doubts ?? []);
  return { ...sorted[Math.floor(sorted.length / 2)]!, doubts };
}

export function printReport({ name, target, unit, machine, rounds, ...report }: Report): void {
  console.log(`\n${name}  (target: ${target})`);
  printMeasurement('subject', unit, report.subject);
  printMeasurement('limit', unit, report.limit);
  console.log(`  ratio    ${report.ratio.toFixed(2)}   medians of ${rounds} rounds`);
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
  console.log(`  ${label.padEnd(8)} ${rate.padEnd(22)} ${latency}`);
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
