// What payments add to the roll-ups: whatever happens to a payment, in whatever order, the rows
// leave its present figures and nothing else.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { PaymentFacts } from '../../consumers/payments-facts.ts';
import { statsRows } from '../../consumers/payments-stats.ts';
import { latencyBoundsMs } from '../../schemas/payment-analytics.ts';
import type { BatchPlan } from '../../src/ledger/batch.ts';
import type { Row } from '../../src/ledger/decision.ts';
import { BatchState } from '../../src/ledger/state.ts';
import { sideTables } from '../../src/store/side-tables.ts';
import { PaymentLedger, type Step } from '../domains/payments-ledger.ts';
import { dice, history } from './payment-histories.ts';

const places = ['at', 'currency', 'method', 'gateway', 'status', 'decline_reason', 'latency'];

/** Each place with what is left there; those where all is zero are gone. */
function leftOf(rows: readonly Row[]): Map<string, Record<string, number>> {
  const left = new Map<string, Record<string, number>>();
  for (const { table, values, adds = {} } of rows) {
    if (table !== 'payment_stats') continue;
    const place = places.map((name) => values[name]).join(' ');
    const sums = left.get(place) ?? {};
    for (const [name, by] of Object.entries(adds)) sums[name] = (sums[name] ?? 0) + by;
    for (const name of Object.keys(sums)) if (sums[name] === 0) delete sums[name];
    left.set(place, sums);
  }
  for (const [place, sums] of left) if (Object.keys(sums).length === 0) left.delete(place);
  return left;
}

test('rows in any order and repetition leave what the payment is in the end', () => {
  const order = fc.integer({ min: 1, max: 2 ** 30 }).chain((seed) => {
    const [first, ...later] = history(dice(seed), Date.UTC(2026, 0, 31)) as readonly Step[];
    const repeated = fc.array(fc.constantFrom(...later, first!), { maxLength: 5 });
    return repeated.chain((again) =>
      fc
        .shuffledSubarray([...later, ...again], { minLength: later.length + again.length })
        .map((mixed) => [first!, ...mixed]),
    );
  });
  fc.assert(
    fc.property(order, (steps) => {
      const ledger = new PaymentLedger();
      for (const step of steps) ledger.play(step);
      const now = leftOf(statsRows(null, ledger.payment!));
      expect(leftOf(ledger.rows)).toEqual(now);
      expect([...now.values()]).toMatchObject([{ payments: 1 }]);
    }),
    { numRuns: 1_000 },
  );
});

const initiatedMs = Date.UTC(2026, 0, 31);

function latencyAfter(tookMs: number, more: Partial<PaymentFacts> = {}): unknown {
  const ledger = new PaymentLedger();
  ledger.play(history(dice(1), initiatedMs)[0] as Step);
  const facts = { ...ledger.payment!, capture: 'automatic', captured_ms: initiatedMs + tookMs };
  const allowed = { ...facts, risk: { score: 1, decision: 'allow' }, ...more } as PaymentFacts;
  return statsRows(null, allowed)[0]!.values['latency'];
}

test('a latency is in the first bucket that is not below it', () => {
  expect(latencyBoundsMs.map((bound) => latencyAfter(bound))).toEqual(
    latencyBoundsMs.map((_, index) => index + 1),
  );
  expect([latencyAfter(-5), latencyAfter(101), latencyAfter(1e9)]).toEqual([
    1,
    2,
    latencyBoundsMs.length + 1,
  ]);
});

test('where people were waited for, or nothing is captured, none is measured', () => {
  expect(latencyAfter(50, { capture: 'manual' })).toBe(0);
  expect(latencyAfter(50, { risk: { score: 700, decision: 'review' } })).toBe(0);
  expect(latencyAfter(50, { captured_ms: null })).toBe(0);
});

describe('rows of a batch that add up', () => {
  /** What is written of rows of one table, each of an event of its tenant. */
  function written(rows: readonly { row: Row; tenant: number }[]): object[] {
    const plan = {
      ...{ conflicts: [], dead: [], deferred: [], undeferred: [], repeats: [], followUps: [] },
      rows: rows.map(({ row, tenant }) => ({ row, item: { event: { tenant }, key: 'k' } })),
      state: new BatchState(),
    };
    return sideTables(plan as unknown as BatchPlan, []).flatMap((side) => side.rows);
  }
  const row = (place: string, adds: Record<string, number>, tenant = 1) => ({
    row: { table: 'payment_stats', values: { place }, adds },
    tenant,
  });

  test('are one for each place and tenant', () => {
    const rows = [
      row('a', { payments: 1, volume: 5 }),
      row('b', { payments: 1 }),
      row('a', { payments: -1, fees: 2 }),
      row('a', { payments: 1 }, 2),
    ];
    expect(written(rows)).toEqual([
      { place: 'a', payments: 0, volume: 5, fees: 2, tenant_id: 1 },
      { place: 'b', payments: 1, tenant_id: 1 },
      { place: 'a', payments: 1, tenant_id: 2 },
    ]);
  });

  test('stay apart where their sum would not be exact', () => {
    const most = Number.MAX_SAFE_INTEGER;
    const rows = [row('a', { volume: most }), row('a', { volume: 2 }), row('a', { volume: -1 })];
    expect(written(rows)).toEqual([
      { place: 'a', volume: most, tenant_id: 1 },
      { place: 'a', volume: 1, tenant_id: 1 },
    ]);
  });
});
