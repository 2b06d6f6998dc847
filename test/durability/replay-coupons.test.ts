// `tallyrace replay coupons`: whatever has become of the counters in Redis, they are the ledger's
// again, and no limit gives way meanwhile.
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { staleCounters } from '../../src/cache/coupon-verify.ts';
import { couponKey } from '../../src/cache/redemption-keys.ts';
import { ask, openDesk, putTerms, won } from '../coupons/desk.ts';
import { caughtUp, startLedger } from '../coupons/ledger.ts';
import { openStack } from '../stack.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('replay-coupons');
const { id: tenant } = await stack.createTenant('replay-coupons');
const desk = await openDesk(stack);
const ledger = await startLedger(stack);
afterAll(() => ledger.stop());

async function redeem(prefix: string, count: number): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: count }, (_, n) =>
      desk.book.reserve(ask('TEN', { tenant, orderId: `${prefix}${n}`, commit: n % 2 === 0 })),
    ),
  );
  return results.filter((one) => one.status === 'fulfilled' && won(one.value)).length;
}

test('replay coupons puts right what is wrong, and the limit holds', async () => {
  const value = { amount: 500, currency: 'USD' };
  await putTerms(stack, [desk], tenant, 'TEN', { kind: 'fixed', value, limits: { global: 10 } });
  expect(await redeem('first', 6)).toBe(6);
  await caughtUp(desk);
  await desk.redis.hincrby(couponKey(tenant, 'TEN'), 'redeemed', -3);
  expect(await staleCounters(desk.redis, stack.sql)).not.toEqual([]);

  const { exitCode, stdout } = await stack.run('replay', 'coupons');
  expect([exitCode, stdout.trim().split('\n').at(-1)]).toEqual([0, 'they are open again']);
  expect(await redeem('rush', 100)).toBe(4);
  await caughtUp(desk);
  expect(await staleCounters(desk.redis, stack.sql)).toEqual([]);
  const [row] = await stack.owner`
    select count(*)::int as uses from redemptions where status <> 'released'`;
  expect(row!['uses']).toBe(10);
});
