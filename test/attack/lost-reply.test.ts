// The commit happened and its reply was lost: the worker must notice that its batch is settled, and
// go on. A proxy in front of Postgres lets the write through and cuts the connection instead of
// handing the answer over.
import { afterAll, expect, test } from 'bun:test';
import { BalanceCache } from '../../src/cache/balances.ts';
import { cachedBalances } from '../../src/store/accounts.ts';
import { verify } from '../../src/store/verify.ts';
import { partitionOf, settledKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { Dice } from '../faults/dice.ts';
import { Proxy } from '../faults/proxy.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('lost_reply');
const { id: tenant } = await stack.createTenant('lost_reply');
const { hostname: host, port } = new URL(stack.databaseUrl);
const proxy = await Proxy.open({ host, port: Number(port) }, new Dice(1));
const databaseUrl = proxy.inFrontOf(stack.databaseUrl);
const engine = await Engine.open({ ...stack, databaseUrl }, tenant);
afterAll(async () => {
  await engine.close();
  proxy.close();
});

const READY = Buffer.from([0x5a, 0, 0, 0, 5]);
const cache = new BalanceCache(engine.redis, 60);
const announcedAt = settledKey('events', partitionOf(tenant, 'u_1'));

async function balance(): Promise<number> {
  const [usd] = await cachedBalances(cache, stack.sql, tenant, 'user:u_1:earnings');
  return usd!.balance;
}

async function announced(offset: number): Promise<void> {
  while (Number(await engine.redis.get(announcedAt)) < offset) await Bun.sleep(10);
}

test('a batch whose reply was lost is settled once, and the worker goes on', async () => {
  await engine.start();
  await engine.append([earning('before', 'u_1', 5)]);
  await engine.settled();
  await announced(1);
  expect(await balance()).toBe(5);
  // Postgres says that it is ready for the next statement, so that this one is committed.
  const done = (reply: Buffer): boolean => reply.subarray(-6, -1).equals(READY);
  const lost = proxy.loseReply({ request: /reply_is_lost/, done });
  await engine.append([earning('reply_is_lost', 'u_1', 7)]);
  await engine.settled();
  expect(await lost).toBe(true);
  await announced(2);
  expect(await balance()).toBe(12);
  await engine.append([earning('after', 'u_1', 11)]);
  expect(await engine.settled()).toMatchObject({ posted: 3, duplicate: 0, dead: 0, lost: 0 });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
  await engine.stop();
}, 60_000);
