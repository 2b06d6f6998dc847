// The pure parts of the studies: what a check finds, options, the events that the ledger is fed.
import { describe, expect, test } from 'bun:test';
import { readOptions } from '../../bench/lib/arguments.ts';
import { earnings } from '../../bench/lib/earnings.ts';
import { belowFloors } from '../../bench/lib/floors.ts';

describe('a check', () => {
  const floors = new Map([
    ['validate', 0.5],
    ['ledger', 0.4],
  ]);
  const of = (name: string, ratio: number | null, doubts: string[] = []) => ({
    ...{ name, ratio },
    subject: { perSecond: 1, cores: {}, rssMb: {}, doubts },
  });

  test('finds nothing where every ratio is at its floor or above', () => {
    expect(belowFloors(floors, [of('validate', 0.5), of('ledger', 0.9)])).toEqual([]);
  });

  test('names each ratio below its floor', () => {
    const found = belowFloors(floors, [of('validate', 0.49), of('ledger', Number.NaN)]);
    expect(found).toEqual(['validate: 0.490 is below 0.5', 'ledger: NaN is below 0.4']);
  });

  test('is not passed by what was not measured, or is doubtful', () => {
    expect(belowFloors(floors, [of('validate', 0.9, ['3 answers with status 500'])])).toEqual([
      'validate: 3 answers with status 500',
      'ledger: no ratio was measured',
    ]);
    expect(belowFloors(floors, [of('validate', 1), of('ledger', null)])).toEqual([
      'ledger: no ratio was measured',
    ]);
  });
});

describe('the options of a study', () => {
  const standard = { rate: 5_000, url: 'http://here', json: false };

  test('are as they stand unless given', () => {
    expect(readOptions([], standard)).toEqual(standard);
    expect(readOptions(['--rate', '50_000', '--json'], standard)).toEqual({
      ...standard,
      rate: 50_000,
      json: true,
    });
  });

  test('that are unknown or no number are named', () => {
    expect(() => readOptions(['--rats', '5'], standard)).toThrow("'--rats'");
    expect(() => readOptions(['--rate', '0'], standard)).toThrow('--rate must be a number above 0');
    expect(() => readOptions(['--rate', 'fast'], standard)).toThrow('not fast');
  });
});

describe('the earnings of the ledger benches', () => {
  test('take only from users who were paid before, every twentieth time', () => {
    const balances = new Map<string, number>();
    const events = earnings(10_000, 1_000, 'run');
    for (const { user, amount } of events) {
      const balance = (balances.get(user) ?? 0) + amount;
      expect(balance).toBeGreaterThanOrEqual(0);
      balances.set(user, balance);
    }
    expect(events.filter(({ amount }) => amount < 0).length).toBe(500);
    expect(new Set(events.map(({ id }) => id)).size).toBe(10_000);
  });

  test('by an even law have no account that is hot', () => {
    const counts = new Map<string, number>();
    for (const { user } of earnings(100_000, 1_000, 'run', 'uniform'))
      counts.set(user, (counts.get(user) ?? 0) + 1);
    expect(counts.size).toBe(1_000);
    expect(Math.max(...counts.values())).toBeLessThan(200);
  });
});
