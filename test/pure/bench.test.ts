// What the benches conclude from what they measured: changes between two runs, and quantiles of the
// worker's own histogram.
import { describe, expect, test } from 'bun:test';
import { changesBetween, sameMachine } from '../../bench/lib/changes.ts';
import { quantile, since } from '../../bench/lib/committed.ts';
import type { Machine } from '../../bench/lib/machine.ts';
import { type Report, compare } from '../../bench/lib/rounds.ts';

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
    ...{ subject, limit, ratio: null },
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

  test('differ for the better or the worse when no round of one reaches into the other', () => {
    const faster = report([
      [111, 200, 8],
      [130, 200, 7.1],
      [120, 200, 9],
    ]);
    expect(verdicts(base, faster)).toMatchObject({ rate: 'better', ratio: 'better' });
    expect(verdicts(base, faster)).toMatchObject({ 'p99 ms': 'worse', 'MB server': 'same' });
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
      rate: 'better',
      'rate of the limit': 'changed',
    });
    expect(sameMachine(base, { ...base, machine: { ...machine, cores: 64 } })).toBe(false);
    expect(sameMachine(base, elsewhere)).toBe(true);
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
