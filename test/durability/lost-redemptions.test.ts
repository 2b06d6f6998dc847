// Redemptions that only a lost Redis knew: they are gone, the limit is again what the ledger says,
// and their offsets are not given to others, so that the loss is counted.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { ask, openDesk, putTerms, won } from '../coupons/desk.ts';
import { caughtUp, startLedger } from '../coupons/ledger.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { RedisAddress, RedisServer } from './servers.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const opened = await openStack('lost-redemptions');
const { id: tenant } = await opened.createTenant('lost-redemptions');
const server = await RedisServer.start();
const address = await RedisAddress.open(server);
const stack = { ...opened, redisUrl: address.url };
const desk = await openDesk(stack);

async function redeem(prefix: string, count: number): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: count }, (_, n) =>
      desk.book.reserve(ask('TEN', { tenant, orderId: `${prefix}${n}` })),
    ),
  );
  return results.filter((one) => one.status === 'fulfilled' && won(one.value)).length;
}

test('redemptions of a lost tail are counted as lost, and their uses are free again', async () => {
  const ledger = await startLedger(stack);
  const value = { amount: 500, currency: 'USD' };
  await putTerms(stack, [desk], tenant, 'TEN', { kind: 'fixed', value, limits: { global: 10 } });
  expect(await redeem('kept', 4)).toBe(4);
  await caughtUp(desk);
  await ledger.stop();
  const copy = await RedisServer.start({}, server.dir);
  expect(await redeem('lost', 5)).toBe(5);
  await server.kill();
  address.lead(copy);

  const again = await startLedger(stack);
  // Whoever asks says what it was given, and nobody waits for what will never come.
  await eventually('the counters are open', () =>
    desk.book.get(tenant, 'rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05').then(
      () => true,
      () => false,
    ),
  );
  await caughtUp(desk);
  let given = 0;
  // The desk may not have come back to Redis yet; then all are refused at once.
  for (let round = 0; given < 6 && round < 40; round++) {
    given += await redeem(`after${round}_`, 50);
    await Bun.sleep(50);
  }
  expect(given).toBe(6);
  await caughtUp(desk);
  const [row] = await stack.owner`
    select sum(lost)::int as lost, sum(renumbered)::int as renumbered
    from streams where stream like 'coupons.%'`;
  expect(row as object).toEqual({ lost: 5, renumbered: 0 });
  const [uses] = await stack.owner`select count(*)::int as uses from redemptions`;
  expect(uses!['uses']).toBe(10);
  await again.stop();
});
