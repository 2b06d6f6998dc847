// Limits under concurrency: thousands of requests at once from two desks, against a real Redis.
import { beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { CouponTerms } from '../../schemas/coupons.ts';
import { readUsage } from '../../src/cache/coupon-usage-read.ts';
import type { Reserved } from '../../src/cache/redemption-book.ts';
import { openStack } from '../stack.ts';
import { type Desk, ask, openDesk, putTerms, refusals, sweep, won } from './desk.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('coupon-race');
const { id: tenant } = await stack.createTenant('race');
const desks: Desk[] = [await openDesk(stack), await openDesk(stack)];
const deskOf = (index: number): Desk => desks[index % desks.length]!;
const fixed = (limits: CouponTerms['limits'], value = 500): CouponTerms => ({
  kind: 'fixed',
  value: { amount: value, currency: 'USD' },
  ...(limits ? { limits } : {}),
});
const usage = async (code: string) =>
  (await readUsage(desks[0]!.redis, stack.sql, tenant, [code]))[0]!;

beforeAll(async () => {
  await sweep(desks[0]!.redis, stack);
});

function all(count: number, run: (index: number) => Promise<Reserved>): Promise<Reserved[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => run(index)));
}

describe('a global limit', () => {
  test('of 100 lets exactly 100 of 3,000 through, and releases give back as many', async () => {
    await putTerms(stack, desks, tenant, 'HOT', fixed({ global: 100 }));
    const reserve = (prefix: string) =>
      all(3_000, (n) =>
        deskOf(n).book.reserve(
          ask('HOT', { tenant, orderId: `${prefix}${n}`, commit: n % 3 === 0 }),
        ),
      );
    const first = await reserve('a');
    expect(first.filter(won)).toHaveLength(100);
    expect(refusals(first)).toEqual({ limit_reached: 2_900 });
    const { reserved, redeemed, budgetUsed } = await usage('HOT');
    expect(reserved + redeemed).toBe(100);
    expect(budgetUsed).toBe(50_000);

    const given = first.filter(won).slice(0, 37);
    // Each twice, through both desks: a release counts once.
    await Promise.all(
      given.flatMap(({ redemption }) =>
        desks.map(({ book }) => book.settle(tenant, redemption.id, 'released', null)),
      ),
    );
    const after = await usage('HOT');
    expect(after.reserved + after.redeemed).toBe(63);
    expect(after.budgetUsed).toBe(31_500);
    const second = await reserve('b');
    expect(second.filter(won)).toHaveLength(37);
  });

  test('of 1 says who is in the way while it is only held', async () => {
    await putTerms(stack, desks, tenant, 'ONCE', fixed({ global: 1 }));
    const results = await all(200, (n) =>
      deskOf(n).book.reserve(ask('ONCE', { tenant, orderId: `o${n}` })),
    );
    expect(results.filter(won)).toHaveLength(1);
    expect(refusals(results)).toEqual({ reserved_elsewhere: 199 });
    const { id } = results.find(won)!.redemption;
    await deskOf(0).book.settle(tenant, id, 'committed', null);
    const late = await deskOf(1).book.reserve(ask('ONCE', { tenant, orderId: 'late' }));
    expect(late).toEqual({ refused: 'limit_reached', code: 'ONCE' });
  });
});

test('a limit per customer holds for each of them', async () => {
  await putTerms(stack, desks, tenant, 'MINE', fixed({ per_customer: 2 }));
  const results = await all(1_000, (n) =>
    deskOf(n).book.reserve(ask('MINE', { tenant, orderId: `m${n}`, customer: `c_${n % 50}` })),
  );
  expect(results.filter(won)).toHaveLength(100);
  expect(refusals(results)).toEqual({ customer_limit_reached: 900 });
});

test('a budget is never overdrawn', async () => {
  await putTerms(
    stack,
    desks,
    tenant,
    'PURSE',
    fixed({ budget: { amount: 10_000, currency: 'USD' } }, 300),
  );
  const results = await all(1_000, (n) =>
    deskOf(n).book.reserve(ask('PURSE', { tenant, orderId: `p${n}` })),
  );
  expect(results.filter(won)).toHaveLength(33);
  expect(refusals(results)).toEqual({ budget_exhausted: 967 });
  expect((await usage('PURSE')).budgetUsed).toBe(9_900);
});

test('a gift gives what it holds and not a unit more', async () => {
  const gift: CouponTerms = { kind: 'gift_balance', value: { amount: 10_000, currency: 'USD' } };
  await putTerms(stack, desks, tenant, 'GIFT', gift);
  const results = await all(40, (n) =>
    deskOf(n).book.reserve(ask('GIFT', { tenant, orderId: `g${n}`, total: 700 })),
  );
  const given = results.filter(won).map(({ redemption }) => redemption.record.uses[0]!.discount);
  expect(given.reduce((sum, amount) => sum + amount, 0)).toBe(10_000);
  expect(given.toSorted((a, b) => a - b)[0]).toBe(200);
  expect(refusals(results)).toEqual({ insufficient_balance: 25 });
});

test('a stack takes all of its codes or none', async () => {
  const stackable = (limits: CouponTerms['limits']) => ({ ...fixed(limits), stackable: true });
  await putTerms(stack, desks, tenant, 'WIDE', stackable({ global: 1_000 }));
  await putTerms(stack, desks, tenant, 'NARROW', stackable({ global: 10 }));
  const results = await all(300, (n) =>
    deskOf(n).book.reserve(ask('', { tenant, orderId: `s${n}`, codes: ['WIDE', 'NARROW'] })),
  );
  expect(results.filter(won)).toHaveLength(10);
  expect(await usage('WIDE')).toMatchObject({ reserved: 10, redeemed: 0 });
  expect(await usage('NARROW')).toMatchObject({ reserved: 10, redeemed: 0 });
});

test('one order racing itself holds one use', async () => {
  await putTerms(stack, desks, tenant, 'SELF', fixed({ global: 50 }));
  const results = await all(500, (n) =>
    deskOf(n).book.reserve(ask('SELF', { tenant, orderId: 'same', commit: n % 2 === 0 })),
  );
  const ids = new Set(results.filter(won).map(({ redemption }) => redemption.id));
  expect(results.every(won)).toBe(true);
  expect(ids.size).toBe(1);
  expect(await usage('SELF')).toEqual({ reserved: 0, redeemed: 1, budgetUsed: 500 });
});

test('expiry and commit race for a reservation, and one of them wins', async () => {
  await putTerms(stack, desks, tenant, 'SHORT', fixed({ global: 300 }));
  const results = await all(300, (n) =>
    deskOf(n).book.reserve(ask('SHORT', { tenant, orderId: `x${n}`, ttlMs: 400 + (n % 10) * 5 })),
  );
  const held = results.filter(won);
  expect(held).toHaveLength(300);
  await Bun.sleep(Math.max(0, held[0]!.redemption.record.expiresAt - Date.now() - 20));
  let swept = 0;
  const sweeping = (async () => {
    for (let round = 0; round < 60; round++) swept += await sweep(desks[1]!.redis, stack);
  })();
  const settled = await Promise.all(
    held.map(async ({ redemption }, index) => {
      await Bun.sleep(index % 70);
      return deskOf(index).book.settle(tenant, redemption.id, 'committed', null);
    }),
  );
  await sweeping;
  await Bun.sleep(100);
  swept += await sweep(desks[0]!.redis, stack);
  const committed = settled.filter((result) => 'redemption' in result).length;
  expect(committed + swept).toBe(300);
  // Both happened, or there was no race to speak of.
  expect(committed).toBeGreaterThan(0);
  expect(swept).toBeGreaterThan(0);
  expect(await usage('SHORT')).toEqual({
    reserved: 0,
    redeemed: committed,
    budgetUsed: committed * 500,
  });
});
