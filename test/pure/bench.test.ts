// What the benches conclude from what they measured: changes between two runs, goals met or missed,
// and quantiles of the worker's own histogram.
import { describe, expect, test } from 'bun:test';
import { changesBetween, sameMachine } from '../../bench/lib/changes.ts';
import { quantile, since } from '../../bench/lib/committed.ts';
import { judge } from '../../bench/lib/goals.ts';
import type { Machine } from '../../bench/lib/machine.ts';
import { type Report, compare } from '../../bench/lib/rounds.ts';
import { factorBetween, slopeOf } from '../../bench/lib/statistics.ts';
import { seededRandom } from '../../bench/lib/zipf.ts';

const machine: Machine = {
  cpu: 'abacus',
  cores: 2,
  memoryMb: 1_024,
  bun: '1',
  commit: 'c0ffee',
  at: '2026-01-31T12:00:00Z',
};

/** Rounds given as [rate of the product, rate of the limit or null, p99]. */
function report(rounds: readonly (readonly [number, number | null, number])[]): Report {
  const measured = rounds.map(([perSecond, limit, p99Ms]) => ({
    subject: { perSecond, p99Ms, cores: { server: 1 }, rssMb: { server: 100 } },
    limit: limit === null ? null : { perSecond: limit, cores: {}, rssMb: {} },
  }));
  const { subject, limit } = measured[0]!;
  return {
    ...{ name: 'bench', target: '', unit: 'events/s', machine, rounds: measured },
    ...{ subject, limit, ratio: null, judged: [] },
  };
}

function verdicts(before: Report, after: Report): Record<string, string> {
  return Object.fromEntries(
    changesBetween(before, after).map(({ figure, verdict }) => [figure, verdict]),
  );
}

describe('two runs of a bench', () => {
  const base = report([
    [100, 200, 5],
    [110, 200, 6],
    [90, 200, 7],
  ]);

  test('differ in nothing when their rounds overlap', () => {
    const other = report([
      [111, 200, 7],
      [120, 240, 8],
      [109, 200, 9],
    ]);
    expect(new Set(Object.values(verdicts(base, other)))).toEqual(new Set(['same']));
  });

  test('differ for the better or the worse when the spread of the rounds leaves no doubt', () => {
    const faster = report([
      [191, 200, 18],
      [210, 200, 17],
      [200, 200, 19],
    ]);
    expect(verdicts(base, faster)).toMatchObject({ rate: 'better', ratio: 'better' });
    expect(verdicts(base, faster)).toMatchObject({ 'p99 ms': 'worse', 'peak MB server': 'same' });
    expect(verdicts(base, faster)).toMatchObject({ 'CPU µs server': 'better' });
    expect(verdicts(faster, base)).toMatchObject({ rate: 'worse', 'p99 ms': 'better' });
  });

  test('a faster machine is no better program: the limit has changed, the ratio has not', () => {
    const elsewhere = report([
      [200, 400, 5],
      [220, 400, 6],
      [180, 400, 7],
    ]);
    expect(verdicts(base, elsewhere)).toMatchObject({
      ratio: 'same',
      rate: 'machine',
      'p99 ms': 'same',
      'rate of the limit': 'changed',
    });
    expect(sameMachine(base, { ...base, machine: { ...machine, cores: 64 } })).toBe(false);
    expect(sameMachine(base, elsewhere)).toBe(true);
  });

  test('on a slower machine a program that keeps its pace is better, by the ratio', () => {
    const slower = report([
      [100, 100, 5],
      [110, 100, 6],
      [90, 100, 7],
    ]);
    expect(verdicts(base, slower)).toMatchObject({ ratio: 'better', rate: 'same' });
  });

  test('that differ by less than three hundredths are the same, however sure that is', () => {
    const steady = (rate: number) =>
      report([
        [rate, null, 5],
        [rate, null, 5],
      ]);
    expect(verdicts(steady(100), steady(102))).toMatchObject({ rate: 'same' });
    expect(verdicts(steady(100), steady(104))).toMatchObject({ rate: 'better' });
  });

  test('of one round cannot be told apart, however far they are', () => {
    const alone = report([[1, 200, 5_000]]);
    expect(new Set(Object.values(verdicts(base, alone)))).toEqual(new Set(['unknown']));
  });

  test('have no ratio where there is no limit', () => {
    const without = report([
      [100, null, 5],
      [100, null, 5],
    ]);
    expect(Object.keys(verdicts(without, without))).not.toContain('ratio');
  });

  test('give the range with its middle', () => {
    const [rate] = changesBetween(base, base).filter(({ figure }) => figure === 'rate');
    expect(rate!.before).toEqual({ low: 90, middle: 100, high: 110 });
  });
});

describe('the spread of three rounds', () => {
  const random = seededRandom(20_261_120);
  const bell = (): number => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  };
  const rounds = (middle: number): number[] =>
    Array.from({ length: 3 }, () => middle * Math.exp(0.1 * bell()));
  const found = (factor: number): number => {
    let count = 0;
    for (let n = 0; n < 5_000; n++) {
      const { low, high } = factorBetween(rounds(100), rounds(100 * factor))!;
      if (low > 1 || high < 1) count++;
    }
    return count / 5_000;
  };

  test('takes equal programs for different ones about once in a hundred', () => {
    expect(found(1)).toBeWithin(0.005, 0.015);
  });

  test('finds a program that is twice as fast', () => {
    expect(found(2)).toBeGreaterThan(0.9);
  });

  test('cannot be told of one round, or of a figure that is zero', () => {
    expect(factorBetween([1], [1, 2])).toBeNull();
    expect(factorBetween([0, 1], [1, 2])).toBeNull();
  });
});

test('a slope is the growth for each step, whatever lies around it', () => {
  expect(slopeOf([1, 2, 3, 4].map((x) => [x, 7 + 3 * x]))).toBeCloseTo(3);
  expect(slopeOf([10, 11, 12, 13].map((x) => [x, x % 2]))).toBeCloseTo(0.2);
  expect(slopeOf([])).toBe(0);
  expect(slopeOf([[5, 5]])).toBe(0);
});

describe('a goal', () => {
  const subject = { perSecond: 50_000, p99Ms: 5, rssMb: { server: 399.9 } };
  const measured = { name: 'validate', unit: 'checks/s', subject, ratio: 0.7512 };

  test('is met from its bound on, and below its bound where less is better', () => {
    const bench = { row: 'T1', bench: 'validate' };
    expect(judge({ row: 'T1', figure: 'ratio', atLeast: 0.75 }, measured)).toEqual({
      ...bench,
      ...{ goal: 'ratio >= 0.75', figure: '0.75', met: true },
    });
    expect(judge({ row: 'T1', figure: 'perSecond', atLeast: 50_001 }, measured)).toEqual({
      ...bench,
      ...{ goal: '>= 50,001 checks/s', figure: '50,000', met: false },
    });
    expect(judge({ row: 'T1', figure: 'p99Ms', below: 5 }, measured)).toMatchObject({
      ...{ goal: 'p99 < 5 ms', figure: '5 ms', met: false },
    });
    const memory = { row: 'T1', figure: 'peakMb', process: 'server', below: 400 } as const;
    expect(judge(memory, measured)).toMatchObject({ goal: 'server < 400 MB', met: true });
  });

  test('that was not measured is missed', () => {
    const broken = { ...measured, ratio: null, subject: { ...subject, p99Ms: Number.NaN } };
    const missed = { figure: 'not measured', met: false };
    expect(judge({ row: 'T1', figure: 'ratio', atLeast: 0 }, broken)).toMatchObject(missed);
    expect(judge({ row: 'T1', figure: 'p99Ms', below: 5 }, broken)).toMatchObject(missed);
  });

  test('says so when the figure is doubtful', () => {
    const doubted = { ...measured, subject: { ...subject, doubts: ['3 answers with status 500'] } };
    const { figure } = judge({ row: 'T1', figure: 'perSecond', atLeast: 1 }, doubted);
    expect(figure).toBe('50,000 (doubtful)');
  });
});

describe('the rounds of a bench', () => {
  const figures = [
    { perSecond: 1, p99Ms: 30, cores: {}, rssMb: {} },
    { perSecond: 3, p99Ms: 10, cores: {}, rssMb: {}, doubts: ['odd'] },
    { perSecond: 2, p99Ms: 40, cores: {}, rssMb: {} },
  ];
  const take = () => {
    const left = [...figures];
    return () => Promise.resolve(left.shift()!);
  };
  const bench = { name: 'bench', target: '', unit: 'events/s' };

  test('come down to the one in the middle of its figure, with every doubt', async () => {
    const byRate = await compare({ ...bench, subject: take(), limit: take() }, 3);
    expect(byRate.subject).toMatchObject({ perSecond: 2, doubts: ['odd'] });
    expect(byRate).toMatchObject({ ratio: 1, limit: { perSecond: 2 } });
    expect(byRate.rounds.map(({ subject }) => subject.perSecond)).toEqual([1, 3, 2]);
    const byTime = await compare({ ...bench, subject: take(), figure: 'p99Ms' }, 3);
    expect(byTime).toMatchObject({ ratio: null, limit: null, subject: { p99Ms: 30 } });
  });
});

describe("the worker's histogram", () => {
  const bounds = [0.01, 0.02, 0.04];

  test('is spread evenly within a bucket', () => {
    const buckets = { bounds, counts: [50, 0, 50, 0] };
    expect(quantile(buckets, 0.25)).toBeCloseTo(0.005);
    expect(quantile(buckets, 0.5)).toBeCloseTo(0.01);
    expect(quantile(buckets, 0.99)).toBeCloseTo(0.0396);
    expect(quantile(buckets, 1)).toBeCloseTo(0.04);
  });

  test('says the last bound for what lies beyond it, and nothing of nothing', () => {
    expect(quantile({ bounds, counts: [1, 0, 0, 99] }, 0.5)).toBe(0.04);
    expect(quantile({ bounds, counts: [0, 0, 0, 0] }, 0.5)).toBe(0);
  });

  test('counts from a point in time on', () => {
    const before = { bounds, counts: [5, 1, 0, 0] };
    expect(since(before, { bounds, counts: [5, 3, 0, 1] }).counts).toEqual([0, 2, 0, 1]);
  });
});
