// The balance cache against a real Redis: readers fill it, commits follow, and no order of the two
// leaves a balance that the ledger has left behind.
import { afterAll, beforeEach, expect, test } from 'bun:test';
import { BalanceCache } from '../../src/cache/balances.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('balance_cache');
const redis = producerClient(stack.redisUrl, 'test');
await redisReady(redis);
afterAll(() => redis.disconnect());

const cache = new BalanceCache(redis, 60);
const ACCOUNT = 'user:u_1:earnings';
const usd = (balance: number, sequence: number) => ({ unit: 'USD', balance, sequence });
const change = (balance: number, sequence: number, unit = 'USD') => ({
  ...{ tenant: 1, account: ACCOUNT, unit, balance, sequence },
});

beforeEach(async () => {
  await redis.flushall();
});

async function claimed(): Promise<string> {
  const found = await cache.get(1, ACCOUNT);
  if (Array.isArray(found)) throw new Error('the account is in the cache');
  return found.claim;
}

test('a commit on an account that nobody reads leaves nothing in Redis', async () => {
  await cache.put([change(5, 1)]);
  expect(await redis.dbsize()).toBe(0);
});

test('what was filled is given, and follows the commits', async () => {
  await cache.fill(1, ACCOUNT, [usd(5, 1)], await claimed());
  expect(await cache.get(1, ACCOUNT)).toEqual([usd(5, 1)]);
  await cache.put([change(9, 2), change(1, 1, 'EUR')]);
  expect(await cache.get(1, ACCOUNT)).toEqual([usd(9, 2), { ...usd(1, 1), unit: 'EUR' }]);
});

test('a commit between the read of the ledger and the fill is kept', async () => {
  const claim = await claimed();
  await cache.put([change(9, 2)]);
  await cache.fill(1, ACCOUNT, [usd(5, 1)], claim);
  expect(await cache.get(1, ACCOUNT)).toEqual([usd(9, 2)]);
});

test('a late commit does not turn a balance back', async () => {
  await cache.fill(1, ACCOUNT, [usd(9, 2)], await claimed());
  await cache.put([change(5, 1)]);
  expect(await cache.get(1, ACCOUNT)).toEqual([usd(9, 2)]);
});

test('two readers share a claim, and either may fill', async () => {
  const [first, second] = [await claimed(), await claimed()];
  expect(second).toBe(first);
  await cache.fill(1, ACCOUNT, [usd(5, 1)], second);
  await cache.fill(1, ACCOUNT, [usd(5, 1)], first);
  expect(await cache.get(1, ACCOUNT)).toEqual([usd(5, 1)]);
});

test('who fills after the claim was lost fills nothing', async () => {
  const claim = await claimed();
  await redis.flushall();
  await cache.put([change(9, 2)]);
  await cache.fill(1, ACCOUNT, [usd(5, 1)], claim);
  expect(await redis.dbsize()).toBe(0);
  const later = await claimed();
  await cache.fill(1, ACCOUNT, [usd(5, 1)], claim);
  expect(await claimed()).toBe(later);
});

test('a new generation forgets what was filled and what was claimed', async () => {
  await cache.fill(1, ACCOUNT, [usd(5, 1)], await claimed());
  await cache.expireAll();
  const claim = await claimed();
  await cache.expireAll();
  await cache.fill(1, ACCOUNT, [usd(5, 1)], claim);
  expect(await claimed()).not.toBe(claim);
});

test('an account without entries is known to have none, until it has one', async () => {
  await cache.fill(1, ACCOUNT, [], await claimed());
  expect(await cache.get(1, ACCOUNT)).toEqual([]);
  await cache.put([change(5, 1)]);
  expect(await cache.get(1, ACCOUNT)).toEqual([usd(5, 1)]);
});
