// A Redis that comes back empty: counters, reservations and orders are rebuilt from the ledger's
// rows, and no limit gives way.
import { expect, setDefaultTimeout, test } from 'bun:test';
import type { CouponTerms } from '../../schemas/coupons.ts';
import { readUsage } from '../../src/cache/coupon-usage-read.ts';
import { staleCounters } from '../../src/cache/coupon-verify.ts';
import { warmCoupon } from '../../src/cache/redemption-rebuild.ts';
import { RedemptionScripts } from '../../src/cache/redemption-scripts.ts';
import { couponKey } from '../../src/cache/redemption-keys.ts';
import { openStack } from '../stack.ts';
import { type Desk, ask, openDesk, putTerms, refusals, sweep, won } from './desk.ts';
import { caughtUp, startLedger } from './ledger.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('coupon-rebuild');
const { id: tenant } = await stack.createTenant('rebuild');
const desks: Desk[] = [await openDesk(stack), await openDesk(stack)];
const [desk, other] = desks as [Desk, Desk];
const fixed = (limits: CouponTerms['limits'], more: Partial<CouponTerms> = {}): CouponTerms => ({
  kind: 'fixed',
  value: { amount: 500, currency: 'USD' },
  ...(limits ? { limits } : {}),
  ...more,
});
const usage = async (code: string) => (await readUsage(desk.redis, stack.sql, tenant, [code]))[0]!;
const reserve = async (code: string, orderId: string, more: object = {}) => {
  const result = await desk.book.reserve(ask(code, { tenant, orderId, ...more }));
  if (!won(result)) throw new Error(`${code} refused ${orderId}: ${result.refused}`);
  return result.redemption;
};

/** The ledger is stopped meanwhile, so that what it has is what there is. */
async function emptyRedis(): Promise<void> {
  await caughtUp(desk);
  await ledger.stop();
  await desk.redis.flushall();
  // The first sweep sees that Redis is new, a later one opens it.
  for (let round = 0; round < 8; round++) {
    await sweep(desk.redis, stack);
    await Bun.sleep(100);
  }
}

let ledger = await startLedger(stack);
await Bun.sleep(700);

test('an emptied Redis lets through exactly what was left', async () => {
  await putTerms(stack, desks, tenant, 'TEN', fixed({ global: 10 }));
  for (let n = 0; n < 6; n++) await reserve('TEN', `t${n}`);
  const released = await reserve('TEN', 't-released');
  await desk.book.settle(tenant, released.id, 'released', null);
  await reserve('TEN', 't-committed', { commit: true });
  await emptyRedis();
  expect(await usage('TEN')).toEqual({ reserved: 6, redeemed: 1, budgetUsed: 3_500 });

  const results = await Promise.all(
    Array.from({ length: 500 }, (_, n) =>
      desks[n % 2]!.book.reserve(ask('TEN', { tenant, orderId: `u${n}` })),
    ),
  );
  expect(results.filter(won)).toHaveLength(3);
  expect(refusals(results)).toEqual({ limit_reached: 497 });
  expect(await usage('TEN')).toEqual({ reserved: 9, redeemed: 1, budgetUsed: 5_000 });
  ledger = await startLedger(stack);
});

test('a code that is only redeemed is rebuilt once, by whoever asks first', async () => {
  await putTerms(stack, desks, tenant, 'COLD', fixed({ global: 10 }));
  for (let n = 0; n < 5; n++) await reserve('COLD', `c${n}`, { commit: true });
  await emptyRedis();
  const rush = () =>
    Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        desks[n % 2]!.book.reserve(ask('COLD', { tenant, orderId: `d${n}` })),
      ),
    );
  expect((await rush()).filter(won)).toHaveLength(5);
  // Rows are behind now, and say less than the counters: what is here stays.
  const parts = { scripts: new RedemptionScripts(desk.redis), sql: stack.sql };
  await warmCoupon(parts, tenant, 'COLD');
  expect(await usage('COLD')).toMatchObject({ reserved: 5, redeemed: 5 });
  expect(refusals(await rush())['limit_reached']).toBeGreaterThan(200);
  ledger = await startLedger(stack);
});

test('orders find their redemptions again, reserved or committed', async () => {
  await putTerms(stack, desks, tenant, 'AGAIN', fixed({ global: 2 }));
  const held = await reserve('AGAIN', 'a1');
  const done = await reserve('AGAIN', 'a2', { commit: true });
  await emptyRedis();
  expect((await reserve('AGAIN', 'a1')).id).toBe(held.id);
  expect((await reserve('AGAIN', 'a2')).id).toBe(done.id);
  expect(await desk.book.get(tenant, done.id)).toMatchObject({ status: 'committed' });
  expect(await desk.book.settle(tenant, held.id, 'committed', null)).toMatchObject({
    redemption: { status: 'committed' },
  });
  // A refund long after: the use is free again, once.
  await other.book.settle(tenant, done.id, 'released', null);
  await desk.book.settle(tenant, done.id, 'released', null);
  expect(await usage('AGAIN')).toEqual({ reserved: 0, redeemed: 1, budgetUsed: 500 });
  ledger = await startLedger(stack);
});

test('customers keep what they used, and their limit', async () => {
  await putTerms(stack, desks, tenant, 'EACH', fixed({ per_customer: 2 }));
  await reserve('EACH', 'e1', { customer: 'c_one' });
  await reserve('EACH', 'e2', { customer: 'c_two', commit: true });
  await reserve('EACH', 'e3', { customer: 'c_two' });
  await emptyRedis();
  const { usage: known } = desks[0]!;
  const customers = ['c_two', 'c_new', 'c_one'];
  await Promise.all(customers.map((customer) => known.load(tenant, 'EACH', customer)));
  expect(customers.map((name) => known.ofCustomer(tenant, 'EACH', name))).toEqual([2, 0, 1]);
  ledger = await startLedger(stack);
  const results = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      desks[n % 2]!.book.reserve(
        ask('EACH', { tenant, orderId: `f${n}`, customer: ['c_one', 'c_two', 'c_new'][n % 3]! }),
      ),
    ),
  );
  const winners = results.filter(won).map(({ redemption }) => redemption.record.customer);
  expect(winners.sort()).toEqual(['c_new', 'c_new', 'c_one']);
});

test('reservations whose code nobody asks for again still expire', async () => {
  await putTerms(stack, desks, tenant, 'QUIET', fixed({ global: 5 }));
  const held = await reserve('QUIET', 'q1', { ttlMs: 300 });
  await emptyRedis();
  await sweep(desk.redis, stack);
  expect(await desk.book.get(tenant, held.id)).toMatchObject({ status: 'released' });
  expect(await usage('QUIET')).toEqual({ reserved: 0, redeemed: 0, budgetUsed: 0 });
  ledger = await startLedger(stack);
});

test('a stack is put back whole, and settled through any of its codes', async () => {
  await putTerms(stack, desks, tenant, 'LEFT', fixed({ global: 1 }, { stackable: true }));
  await putTerms(stack, desks, tenant, 'RIGHT', fixed({ global: 1 }, { stackable: true }));
  const both = await reserve('', 's1', { codes: ['LEFT', 'RIGHT'] });
  await emptyRedis();
  expect(await desk.book.reserve(ask('RIGHT', { tenant, orderId: 's2' }))).toMatchObject({
    refused: 'reserved_elsewhere',
  });
  await desk.book.settle(tenant, both.id, 'released', null);
  expect(await usage('LEFT')).toMatchObject({ reserved: 0 });
  await reserve('RIGHT', 's3');
  ledger = await startLedger(stack);
});

test('a limit per customer set later counts what was redeemed before it', async () => {
  await putTerms(stack, desks, tenant, 'LATER', fixed(undefined));
  await reserve('LATER', 'l1', { customer: 'c_keen' });
  await reserve('LATER', 'l2', { customer: 'c_keen', commit: true });
  await putTerms(stack, desks, tenant, 'LATER', fixed({ per_customer: 2 }));
  const keen = await desk.book.reserve(ask('LATER', { tenant, orderId: 'l3', customer: 'c_keen' }));
  expect(keen).toMatchObject({ refused: 'customer_limit_reached' });
  await reserve('LATER', 'l4', { customer: 'c_other' });
});

test('the ledger says the same as the counters, code by code', async () => {
  await caughtUp(desk);
  await ledger.stop();
  const rows = await stack.owner<{ code: string; reserved: number; redeemed: number }[]>`
    select code, count(*) filter (where status = 'reserved')::int as reserved,
           count(*) filter (where status = 'committed')::int as redeemed
    from redemptions group by code`;
  expect(rows.length).toBeGreaterThan(6);
  for (const { code, reserved, redeemed } of rows) {
    expect({ code, ...(await usage(code)) }).toMatchObject({ code, reserved, redeemed });
    const [balance] = await stack.owner<{ balance: bigint }[]>`
      select balance from balances where account = ${`coupon:${code}:uses`}`;
    expect({ code, uses: Number(balance!.balance) }).toEqual({ code, uses: reserved + redeemed });
  }
});

test('verification finds a counter that is wrong, and nothing else', async () => {
  expect(await staleCounters(desk.redis, stack.sql)).toEqual([]);
  await desk.redis.hincrby(couponKey(tenant, 'LATER'), 'redeemed', 1);
  expect(await staleCounters(desk.redis, stack.sql)).toEqual([
    { check: 'coupon_counters', detail: expect.stringContaining('coupon LATER'), total: 1 },
  ]);
});
