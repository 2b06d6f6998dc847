// The targets as code: what a report must reach, whether it did, and the table at the end of a run.
// Invariant: a goal that cannot be judged is missed, never met.
import { type Machine, machineText } from './machine.ts';

export interface Goal {
  /** The row of the targets: T1 to T10, or another name for what has none. */
  row: string;
  figure: 'ratio' | 'perSecond' | 'p95Ms' | 'p99Ms' | 'peakMb';
  /** Whose memory. */
  process?: string;
  atLeast?: number;
  /** Exclusive: targets of time and memory say "less than". */
  below?: number;
}

export interface Judged {
  row: string;
  bench: string;
  goal: string;
  figure: string;
  met: boolean;
}

interface Judgeable {
  name: string;
  unit: string;
  subject: {
    perSecond: number;
    p95Ms?: number;
    p99Ms?: number;
    rssMb: Record<string, number>;
    doubts?: string[];
  };
  ratio: number | null;
}

export function judge(goal: Goal, report: Judgeable): Judged {
  const { atLeast = -Infinity, below = Infinity } = goal;
  const value = valueOf(goal, report);
  const doubtful = (report.subject.doubts ?? []).length > 0;
  return {
    row: goal.row,
    bench: report.name,
    goal: goalText(goal, report.unit),
    figure:
      value === null ? 'not measured' : written(goal, value) + (doubtful ? ' (doubtful)' : ''),
    met: value !== null && value >= atLeast && value < below,
  };
}

/** As a line of text: "ratio >= 0.75, p99 < 5 ms". */
export function goalsText(goals: readonly Goal[], unit: string): string {
  return goals.map((goal) => goalText(goal, unit)).join(', ');
}

function valueOf({ figure, process }: Goal, { subject, ratio }: Judgeable): number | null {
  const values = {
    ratio,
    perSecond: subject.perSecond,
    p95Ms: subject.p95Ms,
    p99Ms: subject.p99Ms,
    peakMb: subject.rssMb[process ?? ''],
  };
  const value = values[figure];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function goalText(goal: Goal, unit: string): string {
  const { figure, process, atLeast, below } = goal;
  const bound =
    atLeast === undefined ? `< ${written(goal, below!)}` : `>= ${written(goal, atLeast)}`;
  const what = {
    ...{ ratio: 'ratio ', perSecond: '', p95Ms: 'p95 ', p99Ms: 'p99 ' },
    peakMb: `${process} `,
  }[figure];
  return `${what}${bound}${figure === 'perSecond' ? ` ${unit}` : ''}`;
}

function written({ figure }: Goal, value: number): string {
  if (figure === 'ratio') return value.toFixed(2);
  if (figure === 'perSecond') return Math.round(value).toLocaleString('en');
  return figure === 'p95Ms' || figure === 'p99Ms' ? `${short(value)} ms` : `${value.toFixed(0)} MB`;
}

function short(ms: number): string {
  return Number.isInteger(ms) || ms >= 100 ? ms.toFixed(0) : ms.toFixed(2);
}

export function summaryMarkdown(machine: Machine, judged: readonly Judged[]): string {
  const rows = judged.map(({ row, bench, goal, figure, met }) => [
    row,
    bench,
    goal,
    figure,
    met ? 'met' : '**missed**',
  ]);
  return `${machineText(machine)}, ${machine.at}\n\n${markdownTable(
    ['row', 'bench', 'target', 'measured', ''],
    rows,
  )}`;
}

/** Columns as wide as their widest cell, so that it reads well as plain text too. */
export function markdownTable(head: readonly string[], rows: readonly string[][]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |\n`;
  return line(head) + line(widths.map((width) => '-'.repeat(width))) + rows.map(line).join('');
}
