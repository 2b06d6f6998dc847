// Whether a code applies, as a table, and what must hold of every discount, as properties.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import {
  type CouponTerms,
  type Order,
  publicReasons,
  refusalReasons,
} from '../../schemas/coupons.ts';
import {
  type CodeUsage,
  UNUSED,
  checkTerms,
  checkUsage,
  publicReason,
  refusalOf,
} from '../../src/cache/coupon-check.ts';
import { quote } from '../../src/cache/coupon-quote.ts';
import { CouponTable } from '../../src/cache/coupon-table.ts';
import { compileTerms, termErrors } from '../../src/cache/coupon-terms.ts';

const usd = (amount: number) => ({ amount, currency: 'USD' });
const eur = (amount: number) => ({ amount, currency: 'EUR' });
const now = Date.parse('2026-03-04T12:00:00Z'); // a Wednesday
const percent = (percent_bp: number, more: Partial<CouponTerms> = {}): CouponTerms => ({
  kind: 'percent',
  percent_bp,
  ...more,
});
const fixed = (amount: number, more: Partial<CouponTerms> = {}): CouponTerms => ({
  kind: 'fixed',
  value: usd(amount),
  ...more,
});
const gift = (amount: number): CouponTerms => ({ kind: 'gift_balance', value: usd(amount) });
const ship = (more: Partial<CouponTerms> = {}): CouponTerms => ({ kind: 'free_shipping', ...more });
const order = (amount: number, more: Partial<Order> = {}): Order => ({
  total: usd(amount),
  ...more,
});
const item = (product_id: string, quantity: number, price = usd(100)) => ({
  product_id,
  quantity,
  price,
});

interface Case {
  terms: CouponTerms;
  order?: Order;
  customer?: string | undefined;
  segments?: string[];
  usage?: CodeUsage;
  customerUses?: number;
  stacked?: boolean;
  is: number | string;
}

function outcome(given: Case): number | string {
  const { terms, customer, segments, usage = UNUSED, customerUses = 0, stacked = false } = given;
  const compiled = compileTerms(terms, 1);
  const purchase = { order: given.order ?? order(5_000), customer, segments };
  const left = purchase.order.total.amount;
  let verdict = checkTerms(compiled, purchase, left, now, stacked);
  if (verdict >= 0) verdict = checkUsage(compiled, usage, customerUses, verdict);
  return refusalOf(verdict) ?? verdict;
}

const used = (uses: number, budgetUsed = 0): CodeUsage => ({ uses, budgetUsed });

// prettier-ignore
const table: [string, Case][] = [
  ['a tenth', { terms: percent(1_000), is: 500 }],
  ['half to even, down', { terms: percent(1_000), order: order(5), is: 0 }],
  ['half to even, up', { terms: percent(1_000), order: order(15), is: 2 }],
  ['a percentage up to its most', { terms: percent(5_000, { max_discount: usd(700) }), is: 700 }],
  ['all of it', { terms: percent(10_000), is: 5_000 }],
  ['an amount', { terms: fixed(700), is: 700 }],
  ['an amount above the order', { terms: fixed(700), order: order(300), is: 300 }],
  ['nothing off nothing', { terms: fixed(700), order: order(0), is: 0 }],
  ['shipping', { terms: ship(), order: order(5_000, { shipping: usd(400) }), is: 400 }],
  ['shipping that is not named', { terms: ship(), is: 0 }],
  ['a gift larger than the order', { terms: gift(9_000), is: 5_000 }],
  ['a gift smaller than the order', { terms: gift(900), is: 900 }],
  ['what a gift still holds', { terms: gift(900), usage: used(1, 600), is: 300 }],
  ['an empty gift', { terms: gift(900), usage: used(2, 900), is: 'insufficient_balance' }],
  ['disabled', { terms: fixed(1, { status: 'disabled' }), is: 'disabled' }],
  ['too early', { terms: fixed(1, { starts_at: '2026-03-04T12:00:00.001Z' }), is: 'not_started' }],
  ['just begun', { terms: fixed(1, { starts_at: '2026-03-04T12:00:00Z' }), is: 1 }],
  ['just ended', { terms: fixed(1, { ends_at: '2026-03-04T12:00:00Z' }), is: 'expired' }],
  ['about to end', { terms: fixed(1, { ends_at: '2026-03-04T12:00:00.001Z' }), is: 1 }],
  ['other days', { terms: fixed(1, { windows: [{ days: [1, 2], from: '00:00', until: '24:00' }] }),
    is: 'outside_window' }],
  ['happy hour', { terms: fixed(1, { windows: [{ days: [3], from: '12:00', until: '13:00' }] }),
    is: 1 }],
  ['other money', { terms: fixed(1), order: { total: eur(100) }, is: 'currency_mismatch' }],
  ['any money', { terms: percent(1_000), order: { total: eur(100) }, is: 10 }],
  ['a small order', { terms: fixed(1, { min_order: usd(5_001) }), is: 'min_order_not_met' }],
  ['just large enough', { terms: fixed(1, { min_order: usd(5_000) }), is: 1 }],
  ['a customer nobody named', { terms: fixed(1, { limits: { per_customer: 1 } }),
    is: 'customer_required' }],
  ['a customer named', { terms: fixed(1, { limits: { per_customer: 1 } }), customer: 'c', is: 1 }],
  ['a segment nobody named', { terms: fixed(1, { segments: ['vip'] }), is: 'customer_required' }],
  ['another segment', { terms: fixed(1, { segments: ['vip'] }), customer: 'c', segments: ['new'],
    is: 'customer_not_eligible' }],
  ['no segment', { terms: fixed(1, { segments: ['vip'] }), customer: 'c',
    is: 'customer_not_eligible' }],
  ['its segment', { terms: fixed(1, { segments: ['vip'] }), segments: ['new', 'vip'], is: 1 }],
  ['other products', { terms: fixed(1, { products: ['p'] }), order: order(5_000,
    { items: [item('q', 1)] }), is: 'product_not_eligible' }],
  ['no products', { terms: fixed(1, { products: ['p'] }), is: 'product_not_eligible' }],
  ['only its products', { terms: percent(5_000, { products: ['p'] }), order: order(5_000,
    { items: [item('q', 9), item('p', 3)] }), is: 150 }],
  ['an item in other money', { terms: percent(5_000, { products: ['p'] }), order: order(5_000,
    { items: [item('p', 1, eur(1))] }), is: 'currency_mismatch' }],
  ['alone in a stack', { terms: fixed(1), stacked: true, is: 'not_stackable' }],
  ['in a stack', { terms: fixed(1, { stackable: true }), stacked: true, is: 1 }],
  ['the last use', { terms: fixed(1, { limits: { global: 2 } }), usage: used(1), is: 1 }],
  ['used up', { terms: fixed(1, { limits: { global: 2 } }), usage: used(2), is: 'limit_reached' }],
  ['used up by the customer', { terms: fixed(1, { limits: { per_customer: 1 } }), customer: 'c',
    customerUses: 1, is: 'customer_limit_reached' }],
  ['just in budget', { terms: fixed(300, { limits: { budget: usd(1_000) } }), usage: used(2, 700),
    is: 300 }],
  ['over budget', { terms: fixed(300, { limits: { budget: usd(1_000) } }), usage: used(2, 701),
    is: 'budget_exhausted' }],
];

test.each(table)('%s', (_name, given) => {
  expect(outcome(given)).toBe(given.is);
});

describe('of every discount', () => {
  const amount = fc.integer({ min: 0, max: 1_000_000 });
  const money = amount.map(usd);
  const someTerms: fc.Arbitrary<CouponTerms> = fc.oneof(
    fc
      .record({ bp: fc.integer({ min: 1, max: 10_000 }), max: fc.option(money) })
      .map(({ bp, max }) =>
        percent(bp, { stackable: true, ...(max === null ? {} : { max_discount: max }) }),
      ),
    fc.integer({ min: 1, max: 100_000 }).map((value) => fixed(value, { stackable: true })),
    fc.integer({ min: 1, max: 100_000 }).map((value) => ({ ...gift(value), stackable: true })),
    fc.constant(ship({ stackable: true })),
  );

  test('a stack takes off the sum of its parts, in order, and never more than the total', () => {
    fc.assert(
      fc.property(fc.array(someTerms, { minLength: 1, maxLength: 5 }), amount, (list, total) => {
        const terms = new CouponTable();
        const codes = list.map((_, index) => `C${index}`);
        terms.apply(
          list.map((body, index) => ({ tenant: 1, key: codes[index]!, version: 1, body })),
        );
        const purchase = {
          order: order(total, { shipping: usd(Math.min(total, 500)) }),
          customer: undefined,
          segments: undefined,
        };
        const quotes = quote(terms, 1, codes, purchase, now, (_code, compiled, discount) =>
          checkUsage(compiled, UNUSED, 0, discount),
        );
        let left = total;
        for (const { verdict } of quotes) {
          expect(verdict).toBeGreaterThanOrEqual(0);
          expect(Number.isSafeInteger(verdict)).toBe(true);
          expect(verdict).toBeLessThanOrEqual(left);
          left -= verdict;
        }
      }),
    );
  });

  test('one that fits budget and limits leaves them kept', () => {
    fc.assert(
      fc.property(someTerms, amount, amount, amount, (terms, total, budget, spent) => {
        const limits = terms.kind === 'gift_balance' ? {} : { limits: { budget: usd(budget) } };
        const compiled = compileTerms({ ...terms, ...limits }, 1);
        const purchase = { order: order(total), customer: undefined, segments: undefined };
        const byTerms = checkTerms(compiled, purchase, total, now, false);
        if (byTerms < 0) return;
        const verdict = checkUsage(compiled, used(1, spent), 0, byTerms);
        if (verdict > 0) expect(spent + verdict).toBeLessThanOrEqual(compiled.budget);
      }),
    );
  });
});

describe('terms that make no sense are pointed at', () => {
  test.each([
    [{ kind: 'percent' }, ['/percent_bp']],
    [{ kind: 'fixed', percent_bp: 5 }, ['/percent_bp', '/value']],
    [{ kind: 'free_shipping', value: usd(1) }, ['/value']],
    [fixed(0), ['/value/amount']],
    [{ ...gift(5), limits: { budget: usd(5) } }, ['/limits/budget']],
    [
      fixed(5, { starts_at: '2026-01-02T00:00:00Z', ends_at: '2026-01-02T00:00:00Z' }),
      ['/ends_at'],
    ],
    [fixed(5, { min_order: eur(1), max_discount: usd(2) }), ['/min_order/currency']],
    [fixed(5, { time_zone: 'Europe/Paris' }), ['/time_zone']],
    [
      fixed(5, {
        time_zone: 'Mars/Olympus',
        windows: [{ days: [1], from: '10:00', until: '11:00' }],
      }),
      ['/time_zone'],
    ],
    [fixed(5), []],
  ] as [CouponTerms, string[]][])('%j', (terms, pointers) => {
    expect(termErrors(terms).map(({ pointer }) => pointer)).toEqual(pointers);
  });
});

test('every reason has a public one, and codes that may not be used look like none', () => {
  for (const reason of refusalReasons) expect(publicReasons).toContain(publicReason(reason));
  for (const reason of ['disabled', 'not_started'] as const)
    expect(publicReason(reason)).toBe(publicReason('not_found'));
});

test('equal terms of many codes are one row, and older versions do not come back', () => {
  const codes = new CouponTable();
  const change = (key: string, version: number, value: number) => ({
    tenant: 1,
    key,
    version,
    body: fixed(value, { metadata: { made_for: key } }),
  });
  codes.apply([change('A', 1, 5), change('B', 1, 5)]);
  expect(codes.get(1, 'A')).toEqual(codes.get(1, 'B')!);
  expect(codes.rows.size).toBe(1);
  codes.apply([change('A', 3, 7), change('A', 2, 6)]);
  expect(codes.get(1, 'A')).toMatchObject({ version: 3, value: 7 });
  expect(codes.get(2, 'A')).toBeUndefined();
  expect(codes.size).toBe(2);
});
