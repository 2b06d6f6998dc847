// The rules of coupons as a table: what each event posts, and which rows it writes.
import { describe, expect, test } from 'bun:test';
import { couponRules } from '../../consumers/coupons.ts';
import type { Decision, LedgerEvent, Leg, Rule, State } from '../../src/ledger/decision.ts';

const rules = new Map(couponRules.map((rule) => [rule.type, rule as unknown as Rule]));
const id = 'rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
const use = (code: string, discount: number) => ({ code, discount, terms_version: 2 });
const facts = (uses: object[]) => ({
  redemption_id: id,
  uses,
  currency: 'USD',
  customer_id: 'c_1',
  order_id: 'o_1',
});
const at = '2026-01-31T12:00:00.000Z';

/** These rules look at nothing. */
const nothing: State = {
  balance: () => {
    throw new Error('a balance was read');
  },
  documents: () => {
    throw new Error('documents were read');
  },
  record: () => {
    throw new Error('a record was read');
  },
};

function decide(type: string, data: object): Extract<Decision, { verdict: 'post' }> {
  const event: LedgerEvent = { tenant: 1, id: 'evt_1', type, acceptedAt: 0, data };
  const decision = rules.get(type)!.decide(event, nothing);
  if (decision.verdict !== 'post') throw new Error(`${type} was not posted`);
  return decision;
}

const told = (legs: readonly Leg[]) =>
  legs.map(({ account, unit, amount }) => `${account} ${amount} ${unit}`);

const reserved = {
  ...facts([use('SPRING', 500), use('SHIP', 0)]),
  order_total: 5_000,
  reserved_at: at,
  expires_at: '2026-01-31T12:15:00.000Z',
};

test('a reservation takes a use of each code, and budget where there is a discount', () => {
  expect(told(decide('redemption.reserved', reserved).legs)).toEqual([
    'coupon:SPRING:uses 1 uses',
    'coupon:SPRING:pool -1 uses',
    'coupon:SPRING:budget 500 USD',
    'coupon:SPRING:funding -500 USD',
    'coupon:SHIP:uses 1 uses',
    'coupon:SHIP:pool -1 uses',
  ]);
});

test('a commit moves nothing', () => {
  const { legs, rows } = decide('redemption.committed', {
    ...facts([use('SPRING', 500)]),
    committed_at: at,
  });
  expect(legs).toEqual([]);
  expect(rows).toEqual([
    { table: 'redemptions', values: { id, code: 'SPRING', status: 'committed', at } },
  ]);
});

test('a release gives back exactly what the reservation took', () => {
  const released = decide('redemption.released', {
    ...facts(reserved.uses),
    reason: 'expired',
    released_at: at,
  });
  const taken = decide('redemption.reserved', reserved);
  expect(released.legs).toEqual(taken.legs.map((leg) => ({ ...leg, amount: -leg.amount })));
  expect(released.rows!.map(({ values }) => values['reason'])).toEqual(['expired', 'expired']);
});

describe('a release', () => {
  test('names the guarded accounts that it debits', () => {
    const data = { ...facts(reserved.uses), reason: 'released', released_at: at };
    const event: LedgerEvent = {
      tenant: 1,
      id: 'evt_1',
      type: 'redemption.released',
      acceptedAt: 0,
      data,
    };
    expect(rules.get(event.type)!.reads(event)).toEqual({
      accounts: [
        { account: 'coupon:SPRING:uses', unit: 'uses' },
        { account: 'coupon:SPRING:budget', unit: 'USD' },
        { account: 'coupon:SHIP:uses', unit: 'uses' },
      ],
    });
  });
});

test('one row for each code of a stack, in its order', () => {
  const { rows } = decide('redemption.reserved', reserved);
  expect(rows!.map(({ values }) => [values['position'], values['code']])).toEqual([
    [0, 'SPRING'],
    [1, 'SHIP'],
  ]);
});

test('checks post nothing and are written as they were counted', () => {
  const { legs, rows } = decide('coupon.checked', {
    minute: '2026-01-31T12:00:00Z',
    checks: [{ code: 'SPRING', result: 'valid', count: 412 }],
  });
  expect(legs).toEqual([]);
  expect(rows).toEqual([
    {
      table: 'coupon_checks',
      values: { minute: '2026-01-31T12:00:00Z', code: 'SPRING', result: 'valid', count: 412 },
    },
  ]);
});
