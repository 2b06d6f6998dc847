// Redis comes back empty while the worker holds redemptions that Postgres has not taken yet. Their
// rows are not there to be counted, so the code stays closed until they are.
import { expect, test } from 'bun:test';
import { ask, openDesk, putTerms, won } from '../coupons/desk.ts';
import { caughtUp } from '../coupons/ledger.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('emptied');
const { id: tenant } = await stack.createTenant('emptied');
const desk = await openDesk(stack);

/** How many of so many orders get a use; the rest may be refused, or told to come back. */
async function redeem(prefix: string, orders: number): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: orders }, (_, n) =>
      desk.book.reserve(ask('TEN', { tenant, orderId: `${prefix}${n}`, commit: true })),
    ),
  );
  return results.filter((result) => result.status === 'fulfilled' && won(result.value)).length;
}

/** By the ledger, which is given a while to reach it: positions begin anew with Redis. */
async function usesOf(code: string, expected: number): Promise<number> {
  const account = `coupon:${code}:uses`;
  for (const deadline = Date.now() + 5_000; ; await Bun.sleep(50)) {
    const [row] = await stack.owner`select balance from balances where account = ${account}`;
    const uses = Number(row?.['balance'] ?? 0);
    if (uses >= expected || Date.now() > deadline) return uses;
  }
}

test('what a waiting Postgres has not recorded yet is not given away again', async () => {
  const value = { amount: 500, currency: 'USD' };
  await putTerms(stack, [desk], tenant, 'TEN', { kind: 'fixed', value, limits: { global: 10 } });
  const worker = await stack.startWorker();
  await eventually('the worker has opened the counters', async () => {
    return (await redeem('first', 1)) === 1;
  });
  await caughtUp(desk);
  await stack.owner.begin(async (sql) => {
    await sql`select from streams for update`;
    expect(await redeem('held', 6)).toBe(6);
    await Bun.sleep(400);
    await desk.redis.flushall();
    await Bun.sleep(1_500);
    expect(await redeem('closed', 20)).toBe(0);
  });
  let given = 7;
  for (let round = 0; given < 10 && round < 5; round++) given += await redeem(`open${round}_`, 20);
  expect(given).toBe(10);
  expect(await redeem('over', 5)).toBe(0);
  expect(await usesOf('TEN', 10)).toBe(10);
  expect(await worker.kill('SIGTERM')).toBe(0);
}, 60_000);
