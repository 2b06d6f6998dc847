// The auditors and the dice of the fault suite, by hand-made examples: an auditor must find what is
// wrong, not only agree.
import { describe, expect, test } from 'bun:test';
import { type RedemptionEvent, auditCoupons } from './coupon-auditor.ts';
import { Dice } from './dice.ts';
import { History } from './history.ts';
import { scheduleOf } from './schedule.ts';

const limits = [{ code: 'TWO', global: 2, perCustomer: 1, budget: 1_000 }];

function event(kind: RedemptionEvent['kind'], id: string, of: Partial<RedemptionEvent> = {}) {
  const standard = {
    code: 'TWO',
    discount: 500,
    customer: `c_${id}`,
    order: `o_${id}`,
    reason: '',
  };
  return { kind, redemption: id, ...standard, ...of };
}

const problemsOf = (...events: RedemptionEvent[]) => auditCoupons(events, limits).problems;

describe('the auditor of coupons', () => {
  test('finds nothing where uses come, are redeemed and given back', () => {
    const events = [
      event('reserved', 'a'),
      event('committed', 'a'),
      event('reserved', 'b'),
      event('released', 'b', { reason: 'expired' }),
      event('reserved', 'c'),
    ];
    const { problems, uses, budgets, redemptions } = auditCoupons(events, limits);
    expect(problems).toEqual([]);
    expect([uses.get('TWO'), budgets.get('TWO')]).toEqual([2, 1_000]);
    expect(redemptions.get('a')).toMatchObject({ status: 'committed', wasCommitted: true });
    expect(redemptions.get('b')).toMatchObject({ status: 'released', releasedFor: 'expired' });
  });

  test.each([
    ['a use too many', [event('reserved', 'a'), event('reserved', 'b'), event('reserved', 'c')]],
    ['two for one customer', [event('reserved', 'a'), event('reserved', 'b', { customer: 'c_a' })]],
    ['too much spent', [event('reserved', 'a', { discount: 1_001 })]],
    ['two for one order', [event('reserved', 'a'), event('reserved', 'b', { order: 'o_a' })]],
    ['one reserved twice', [event('reserved', 'a'), event('reserved', 'a')]],
    ['one committed from nowhere', [event('committed', 'a')]],
    [
      'one committed after its release',
      [event('reserved', 'a'), event('released', 'a'), event('committed', 'a')],
    ],
    [
      'one released twice',
      [event('reserved', 'a'), event('released', 'a'), event('released', 'a')],
    ],
  ])('finds %s', (_, events) => {
    expect(problemsOf(...events).length).toBeGreaterThan(0);
  });
});

test('only what was acknowledged while the log was cut may be lost', () => {
  const history = new History();
  history.losses.push({ sinceMs: 100, untilMs: 200 });
  const times = (askedMs: number, toldMs: number) => history.mayBeLost({ askedMs, toldMs });
  expect(times(50, 99)).toBe(false);
  expect(times(50, 100)).toBe(true);
  expect(times(199, 230)).toBe(true);
  expect(times(201, 230)).toBe(false);
});

test('the same seed gives the same faults, another seed others', () => {
  const of = (seed: number) => scheduleOf(new Dice(seed).fork('schedule'), 3_000, false);
  expect(of(7)).toEqual(of(7));
  expect(of(7)).not.toEqual(of(8));
  const drawn = Array.from({ length: 300 }, (_, seed) => of(seed).faults.map(({ name }) => name));
  expect(new Set(drawn.flat()).size).toBeGreaterThan(20);
});
