// A Redis that is older than the ledger: a replica that lagged is promoted when its primary is
// lost. Its counters say less than was given away, and nothing about them looks wrong.
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { type Desk, ask, openDesk, putTerms, won } from './desk.ts';
import { Server } from '../prove/servers.ts';
import { openSwitch } from '../prove/switch.ts';
import { type Ledger, caughtUp, startLedger } from './ledger.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);

const stack = await openStack('coupon-reign');
const { id: tenant } = await stack.createTenant('reign');
const servers = [await Server.start()];
const front = await openSwitch(servers[0]!.url);
afterAll(async () => {
  front.close();
  for (const server of servers) await server.close();
});
stack.environment['REDIS_URL'] = front.url;
const behind = { ...stack, redisUrl: front.url };
const desks: Desk[] = [await openDesk(behind), await openDesk(behind)];
const [desk] = desks as [Desk, Desk];
const TEN = {
  kind: 'fixed' as const,
  value: { amount: 500, currency: 'USD' },
  limits: { global: 10 },
  stackable: true,
};

async function redeem(prefix: string, count: number, codes: string[]): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: count }, (_, n) =>
      desks[n % 2]!.book.reserve(
        ask('', { tenant, orderId: `${prefix}${n}`, codes, commit: n % 2 === 0 }),
      ),
    ),
  );
  return results.filter((one) => one.status === 'fulfilled' && won(one.value)).length;
}

/** Every use that the ledger has of the code, reserved or redeemed. */
async function usesInRows(code: string): Promise<number> {
  const [row] = await stack.owner`
    select count(*)::int as uses from redemptions where code = ${code} and status <> 'released'`;
  return row!['uses'] as number;
}

/** A replica that has all there is now, and hears of nothing more. */
async function cutOff(): Promise<Server> {
  const replica = await servers.at(-1)!.startReplica();
  await replica.promote();
  servers.push(replica);
  return replica;
}

async function failOver(to: Server): Promise<void> {
  front.leadTo(to.url);
  await eventually('the desks have reconnected', async () => {
    const pongs = await Promise.all(desks.map(({ redis }) => redis.ping()));
    return pongs.every((pong) => pong === 'PONG');
  });
}

test('what the ledger has settled counts, though the replica has not heard of it', async () => {
  const ledger: Ledger = await startLedger(behind);
  await putTerms(stack, desks, tenant, 'LAG', TEN);
  await putTerms(stack, desks, tenant, 'BESIDE', TEN);
  expect(await redeem('before', 4, ['LAG', 'BESIDE'])).toBe(4);
  await caughtUp(desk);
  const replica = await cutOff();
  expect(await redeem('unseen', 4, ['LAG', 'BESIDE'])).toBe(4);
  await caughtUp(desk);
  await failOver(replica);
  expect(await redeem('rush', 200, ['BESIDE'])).toBe(2);
  expect(await redeem('stack', 100, ['LAG', 'BESIDE'])).toBe(0);
  expect(await redeem('other', 200, ['LAG'])).toBe(2);
  await caughtUp(desk);
  expect(await usesInRows('LAG')).toBe(10);
  expect(await usesInRows('BESIDE')).toBe(10);
  await ledger.stop();
});

test('what only the lost primary knew is told, and its slots can be had again', async () => {
  await putTerms(stack, desks, tenant, 'GONE', TEN);
  const ledger = await startLedger(behind);
  expect(await redeem('kept', 3, ['GONE'])).toBe(3);
  await caughtUp(desk);
  await ledger.stop();
  const replica = await cutOff();
  const lost = await desk.book.reserve(ask('GONE', { tenant, orderId: 'lost' }));
  if (!won(lost)) throw new Error(lost.refused);
  await failOver(replica);
  // Without a worker nobody opens the counters.
  expect(await redeem('closed', 4, ['GONE'])).toBe(0);
  const next = await startLedger(behind);
  expect(await redeem('rush', 100, ['GONE'])).toBe(7);
  const { id } = lost.redemption;
  expect(await desk.book.settle(tenant, id, 'committed', null)).toEqual({ missing: true });
  await caughtUp(desk);
  expect(await usesInRows('GONE')).toBe(10);
  const { stdout } = await stack.run('verify', '--json');
  const { problems } = JSON.parse(stdout) as { problems: { check: string; detail: string }[] };
  expect(problems).toEqual([
    { check: 'lost', detail: expect.stringMatching(/^stream coupons\.\d: Redis lost 1 accepted/) },
  ]);
  await next.stop();
});
