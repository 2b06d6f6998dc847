// What changed between two reports of one bench. A figure has changed when the rounds of one run
// and those of the other do not overlap; where they do, the difference is what rounds of one run
// differ by anyway. With three rounds each, equal programs are told apart by chance in one
// comparison of ten, so a change is a reason to look, and a change in many figures a finding.
import type { Measurement, Report, Round } from './rounds.ts';

export type Verdict = 'better' | 'worse' | 'changed' | 'same' | 'unknown';

export interface Range {
  low: number;
  middle: number;
  high: number;
}

export interface Change {
  figure: string;
  before: Range;
  after: Range;
  /** `unknown`: a single round has no spread to be held against. */
  verdict: Verdict;
}

type Direction = 'up' | 'down' | 'neither';

interface Figure {
  name: string;
  good: Direction;
  of(round: Round): number | undefined;
}

export function changesBetween(before: Report, after: Report): Change[] {
  return figuresOf([...before.rounds, ...after.rounds]).flatMap(({ name, good, of }) => {
    const [was, is] = [valuesOf(before, of), valuesOf(after, of)];
    if (was.length === 0 || is.length === 0) return [];
    const [old, now] = [rangeOf(was), rangeOf(is)];
    const told = was.length > 1 && is.length > 1;
    const verdict = told ? verdictOf(old, now, good) : 'unknown';
    return [{ figure: name, before: old, after: now, verdict }];
  });
}

/** Rates of different machines say nothing of the program; ratios still do. */
export function sameMachine({ machine: a }: Report, { machine: b }: Report): boolean {
  return a.cpu === b.cpu && a.cores === b.cores && a.memoryMb === b.memoryMb && a.bun === b.bun;
}

function figuresOf(rounds: readonly Round[]): Figure[] {
  const subject = (
    name: string,
    good: Direction,
    of: (measured: Measurement) => number | undefined,
  ) => ({
    name,
    good,
    of: (round: Round) => of(round.subject),
  });
  const namesIn = (field: 'cores' | 'rssMb'): string[] => [
    ...new Set(rounds.flatMap((round) => Object.keys(round.subject[field]))),
  ];
  return [
    {
      name: 'ratio',
      good: 'up',
      of: ({ subject: { perSecond }, limit }) => (limit ? perSecond / limit.perSecond : undefined),
    },
    subject('rate', 'up', ({ perSecond }) => perSecond),
    subject('p50 ms', 'down', ({ p50Ms }) => p50Ms),
    subject('p95 ms', 'down', ({ p95Ms }) => p95Ms),
    subject('p99 ms', 'down', ({ p99Ms }) => p99Ms),
    subject('bytes each', 'down', ({ bytesEach }) => bytesEach),
    // More cores in use may be more work done or more work wasted.
    ...namesIn('cores').map((name) =>
      subject(`cores ${name}`, 'neither', ({ cores }) => cores[name]),
    ),
    ...namesIn('rssMb').map((name) => subject(`MB ${name}`, 'down', ({ rssMb }) => rssMb[name])),
    { name: 'rate of the limit', good: 'neither', of: ({ limit }) => limit?.perSecond },
  ];
}

function valuesOf(report: Report, of: Figure['of']): number[] {
  const values = report.rounds.map(of);
  return values.filter(
    (value): value is number => typeof value === 'number' && Number.isFinite(value),
  );
}

function rangeOf(values: readonly number[]): Range {
  const sorted = values.toSorted((a, b) => a - b);
  return { low: sorted[0]!, middle: sorted[sorted.length >> 1]!, high: sorted.at(-1)! };
}

function verdictOf(before: Range, after: Range, good: Direction): Verdict {
  const up = after.low > before.high;
  if (!up && after.high >= before.low) return 'same';
  if (good === 'neither') return 'changed';
  return up === (good === 'up') ? 'better' : 'worse';
}
