// A Redis that is older than the ledger: a replica that lagged is promoted when its primary is
// lost. Its counters say less than was given away, and nothing about them looks wrong.
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { Redis } from 'ioredis';
import { join } from 'node:path';
import { startRedis } from '../../src/supervisor/redis.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { type Desk, ask, openDesk, putTerms, won } from './desk.ts';
import { openSwitch } from '../prove/switch.ts';
import { type Ledger, caughtUp, startLedger } from './ledger.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);

const stack = await openStack('coupon-reign');
const { id: tenant } = await stack.createTenant('reign');
const front = await openSwitch(stack.redisUrl);
afterAll(() => front.close());
const behind = { ...stack, redisUrl: front.url };
const desks: Desk[] = [await openDesk(behind), await openDesk(behind)];
const [desk] = desks as [Desk, Desk];
const TEN = {
  kind: 'fixed' as const,
  value: { amount: 500, currency: 'USD' },
  limits: { global: 10 },
  stackable: true,
};

/** A replica of what the switch leads to now, in step with it. */
async function startReplica(name: string, of: string): Promise<{ url: string; admin: Redis }> {
  const server = await startRedis({
    dir: join(stack.home, name),
    port: await findFreePort(),
    log: join(stack.home, `${name}.log`),
  });
  const admin = new Redis(server.url);
  afterAll(async () => {
    admin.disconnect();
    await server.stop();
  });
  const primary = new URL(of);
  await admin.config('SET', 'masterauth', primary.password);
  await admin.config('SET', 'requirepass', primary.password);
  await admin.replicaof(primary.hostname, Number(primary.port));
  await eventually('the replica is in step', async () => {
    return (await admin.info('replication')).includes('master_link_status:up');
  });
  return { url: server.url, admin };
}

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

async function failOver(to: string): Promise<void> {
  front.leadTo(to);
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
  const { url, admin } = await startReplica('late', stack.redisUrl);
  await admin.replicaof('NO', 'ONE');
  expect(await redeem('unseen', 4, ['LAG', 'BESIDE'])).toBe(4);
  await caughtUp(desk);
  await failOver(url);
  expect(await redeem('rush', 200, ['BESIDE'])).toBe(2);
  expect(await redeem('stack', 100, ['LAG', 'BESIDE'])).toBe(0);
  expect(await redeem('other', 200, ['LAG'])).toBe(2);
  await caughtUp(desk);
  expect(await usesInRows('LAG')).toBe(10);
  expect(await usesInRows('BESIDE')).toBe(10);
  await ledger.stop();
});
