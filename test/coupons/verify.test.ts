// What Redis holds of coupons is compared with the ledger's rows: each of these is changed by hand,
// must be named with its key, and is gone when it is put right.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { couponChecks } from '../../src/cache/coupon-verify.ts';
import { couponKey, customersKey, redemptionKey } from '../../src/cache/redemption-keys.ts';
import { type Verdict, verify } from '../../src/store/verify.ts';
import { openStack } from '../stack.ts';
import { ask, openDesk, putTerms, won } from './desk.ts';
import { caughtUp, startLedger } from './ledger.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('coupon-verify');
const { id: tenant } = await stack.createTenant('coupon-verify');
const desk = await openDesk(stack);
const { redis } = desk;
const ledger = await startLedger(stack);

const terms = {
  kind: 'fixed' as const,
  value: { amount: 500, currency: 'USD' },
  limits: { global: 10, per_customer: 3, budget: { amount: 100_000, currency: 'USD' } },
};
await putTerms(stack, [desk], tenant, 'SPRING', terms);

async function take(orderId: string, commit: boolean): Promise<string> {
  const request = ask('SPRING', { tenant, orderId, customer: 'c_1', commit });
  const result = await desk.book.reserve(request);
  if (!won(result)) throw new Error(`refused: ${result.refused}`);
  return result.redemption.id;
}

const [held, used] = [await take('o1', false), await take('o2', true)];
await caughtUp(desk);

function look(): Promise<Verdict> {
  return verify(redis, stack.sql, couponChecks);
}

const counters = couponKey(tenant, 'SPRING');
const byCustomer = customersKey(tenant, 'SPRING');
const sql = (text: string) => () => stack.owner.unsafe(text).simple();
const reserved = await redis.get(redemptionKey(held));

const damages: [string, () => unknown, () => unknown, string, RegExp][] = [
  [
    'a counter that lies',
    () => redis.hincrby(counters, 'redeemed', 1),
    () => redis.hincrby(counters, 'redeemed', -1),
    'coupon_counters',
    /coupon SPRING of tenant \d+: 1 2 1000 in Redis, 1 1 1000 in rows \(key \{p\d\d\}:coupon:/,
  ],
  [
    'a budget that lies',
    () => redis.hincrby(counters, 'budget_used', -400),
    () => redis.hincrby(counters, 'budget_used', 400),
    'coupon_counters',
    /coupon SPRING of tenant \d+: 1 1 600 in Redis, 1 1 1000 in rows/,
  ],
  [
    "a customer's count that lies",
    () => redis.hset(byCustomer, 'c_1', 0),
    () => redis.hset(byCustomer, 'c_1', 2),
    'coupon_customers',
    /customer c_1 of coupon SPRING of tenant \d+: 0 uses in Redis, 2 in rows/,
  ],
  [
    'a row that is gone, as Redis sees it',
    sql(`create table kept as select * from redemptions where order_id = 'o2';
         delete from redemptions where order_id = 'o2'`),
    sql(`insert into redemptions select * from kept; drop table kept`),
    'redemptions',
    new RegExp(`redemption ${used} of coupon SPRING .* is committed in Redis and has no row`),
  ],
  [
    'a row that is gone, as the ledger sees it',
    sql(`create table kept as select * from redemptions where order_id = 'o2';
         delete from redemptions where order_id = 'o2'`),
    sql(`insert into redemptions select * from kept; drop table kept`),
    'coupon_counters',
    /coupon SPRING of tenant \d+: 1 uses in rows, 2 posted/,
  ],
  [
    'a redemption that Redis has otherwise',
    () => redis.set(redemptionKey(held), reserved!.replace('reserved', 'released')),
    () => redis.set(redemptionKey(held), reserved!),
    'redemptions',
    new RegExp(`redemption ${held} of coupon SPRING .* is released in Redis and is reserved`),
  ],
];

test('what was redeemed verifies', async () => {
  expect(await look()).toMatchObject({ ok: true, problems: [] });
});

for (const [what, damage, repair, check, detail] of damages)
  test(`${what} is named`, async () => {
    await damage();
    const { problems, found } = await look();
    await repair();
    expect(problems).toContainEqual({ check, detail: expect.stringMatching(detail) });
    expect(found[check]).toBeGreaterThan(0);
  });

test('nothing is left of it, and nothing is said of a code in use', async () => {
  let busy = true;
  const using = (async () => {
    for (let n = 0; busy; n++) {
      const request = ask('SPRING', { tenant, orderId: `busy_${n}`, customer: `c_b${n}` });
      const result = await desk.book.reserve(request);
      if (won(result)) await desk.book.settle(tenant, result.redemption.id, 'released', null);
    }
  })();
  for (let round = 0; round < 3; round++)
    expect(await verify(redis, stack.sql, couponChecks, { full: true })).toMatchObject({
      ok: true,
      problems: [],
    });
  busy = false;
  await using;
  await ledger.stop();
});
