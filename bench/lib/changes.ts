// What changed between two reports of one bench, by the spread of their rounds: a figure changed
// when 99 % certainty leaves "no change" out, and by at least three hundredths. A machine differs
// from one hour to the next, which the spread of one run cannot know; so where the limit has
// changed too, rates and times are put down to the machine: the ratio says what the program did.
import { type Measurement, type Report, type Round, cpuMicrosecondsEach } from './rounds.ts';
import { type Interval, factorBetween } from './statistics.ts';

export type Verdict = 'better' | 'worse' | 'changed' | 'same' | 'machine' | 'unknown';

/** Less than this is of no consequence, however certain. */
const FACTOR_MIN = 1.03;

export interface Range {
  low: number;
  middle: number;
  high: number;
}

export interface Change {
  figure: string;
  before: Range;
  after: Range;
  /** Null where it cannot be told. */
  factor: Interval | null;
  /** `unknown`: a single round has no spread. `machine`: the limit has changed as well. */
  verdict: Verdict;
}

type Direction = 'up' | 'down' | 'neither';

interface Figure {
  name: string;
  good: Direction;
  /** Depends on how fast the machine is; a ratio, a size or a peak does not. */
  ofMachine: boolean;
  of(round: Round): number | undefined;
}

export function changesBetween(before: Report, after: Report): Change[] {
  const limits = [before, after].map((report) => valuesOf(report, ({ limit }) => limit?.perSecond));
  const machine = directionOf(factorBetween(limits[0]!, limits[1]!)) !== 'neither';
  return figuresOf([...before.rounds, ...after.rounds]).flatMap((figure) => {
    const [was, is] = [valuesOf(before, figure.of), valuesOf(after, figure.of)];
    if (was.length === 0 || is.length === 0) return [];
    const factor = factorBetween(was, is);
    const verdict = verdictOf(figure, factor, machine);
    return [{ figure: figure.name, before: rangeOf(was), after: rangeOf(is), factor, verdict }];
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
    ofMachine: boolean,
    of: (measured: Measurement) => number | undefined,
  ): Figure => ({ name, good, ofMachine, of: (round) => of(round.subject) });
  const namesIn = (field: 'cores' | 'rssMb'): string[] => [
    ...new Set(rounds.flatMap((round) => Object.keys(round.subject[field]))),
  ];
  return [
    {
      ...{ name: 'ratio', good: 'up', ofMachine: false },
      of: ({ subject: { perSecond }, limit }) => (limit ? perSecond / limit.perSecond : undefined),
    },
    subject('rate', 'up', true, ({ perSecond }) => perSecond),
    subject('p50 ms', 'down', true, ({ p50Ms }) => p50Ms),
    subject('p95 ms', 'down', true, ({ p95Ms }) => p95Ms),
    subject('p99 ms', 'down', true, ({ p99Ms }) => p99Ms),
    subject('bytes each', 'down', false, ({ bytesEach }) => bytesEach),
    ...namesIn('cores').map((name) =>
      subject(`CPU µs ${name}`, 'down', true, (all) => cpuMicrosecondsEach(all)[name]),
    ),
    ...namesIn('rssMb').map((name) =>
      subject(`peak MB ${name}`, 'down', false, ({ rssMb }) => rssMb[name]),
    ),
    {
      ...{ name: 'rate of the limit', good: 'neither', ofMachine: false },
      of: ({ limit }) => limit?.perSecond,
    },
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

function verdictOf(figure: Figure, factor: Interval | null, machine: boolean): Verdict {
  if (!factor) return 'unknown';
  const direction = directionOf(factor);
  if (direction === 'neither') return 'same';
  if (machine && figure.ofMachine) return 'machine';
  if (figure.good === 'neither') return 'changed';
  return direction === figure.good ? 'better' : 'worse';
}

function directionOf(factor: Interval | null): Direction {
  if (!factor || (factor.low <= 1 && factor.high >= 1)) return 'neither';
  const middle = Math.sqrt(factor.low * factor.high);
  if (middle < FACTOR_MIN && middle > 1 / FACTOR_MIN) return 'neither';
  return middle > 1 ? 'up' : 'down';
}
