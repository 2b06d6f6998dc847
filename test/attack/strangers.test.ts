// What stands in Redis and was not written by us must not stop a stream: an entry that has our form
// and values that Postgres cannot keep. And an account in thousands of currencies stays readable.
import { expect, test } from 'bun:test';
import { Packr } from 'msgpackr';
import { BalanceCache } from '../../src/cache/balances.ts';
import { cachedBalances } from '../../src/store/accounts.ts';
import { listDeadLetters } from '../../src/store/dead-letters.ts';
import { verify } from '../../src/store/verify.ts';
import { offsetKey, partitionOf, streamKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('strangers', async (services) => {
  const { id: tenant } = await services.createTenant('strangers');
  return { tenant, engine: await Engine.open(services, tenant) };
});
const { engine, tenant } = stack;
const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });
const partition = partitionOf(tenant, 'u_1');

/** As append.ts would have written it. */
async function write(type: string, id: string, of = tenant, acceptedAt = Date.now()) {
  const offset = await engine.redis.incr(offsetKey('events', partition));
  const header = packr.pack([1, type, id, of, acceptedAt, null]);
  const blob = Buffer.concat([header, packr.pack([null, 'u_1', 'test', [1, 'USD'], 'r'])]);
  const key = streamKey('events', partition);
  await engine.redis.xadd(key, '*', 'o', offset, 'n', 1, 'b', blob);
}

test('values that cannot be kept are dead letters, and the stream goes on', async () => {
  await write('earning.credited', 'nul\u0000');
  await write('nul\u0000', 'a');
  await write('\ud800', 'b');
  await write('earning.credited', 'c', 2 ** 40);
  await write('earning.credited', 'd', -1);
  await write('earning.credited', 'e', tenant, -9e15);
  await engine.append([earning('after', 'u_1', 5)]);
  await engine.start();
  expect(await engine.settled()).toMatchObject({ posted: 1, dead: 6 });
  const page = { status: 'dead', before: new Date('9999-01-01'), limit: 10 } as const;
  for (const { reason } of await listDeadLetters(stack.sql, page))
    expect(reason).toBe('undecodable');
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
}, 60_000);

test('an account in five thousand currencies is read from the cache', async () => {
  const letter = (n: number): string => String.fromCharCode(65 + (n % 26));
  const events = Array.from({ length: 5_000 }, (_, n) => {
    const currency = `${letter(Math.floor(n / 676))}${letter(Math.floor(n / 26))}${letter(n)}`;
    const amount = { amount: n + 1, currency };
    const data = { user_id: 'u_many', kind: 'test', amount, reference: 'r' };
    return { id: `many_${n}`, type: 'earning.credited', data };
  });
  await engine.append(events);
  await engine.settled();
  const cache = new BalanceCache(engine.redis, 60);
  const account = 'user:u_many:earnings';
  expect(await cachedBalances(cache, stack.sql, tenant, account)).toHaveLength(5_000);
  expect(await cache.get(tenant, account)).toHaveLength(5_000);
  await engine.close();
}, 60_000);
