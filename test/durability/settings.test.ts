// Settings of Redis by which an acknowledgement says less than "on disk": an ingress says so at its
// start, and doctor names the fix.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { redisChecks } from '../../src/cli/doctor-servers.ts';
import { weaknessOf } from '../../src/io/redis-promise.ts';
import { openStack } from '../stack.ts';
import { RedisServer } from './servers.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('settings');

test('a Redis that keeps nothing, or syncs when it likes, is named', async () => {
  const server = await RedisServer.start();
  const client = await server.client();
  const told = async () => {
    const wrong = (await redisChecks(server.url, 0)).filter(({ ok }) => !ok);
    return [await weaknessOf(client), ...wrong.map(({ name }) => name)];
  };
  expect(await told()).toEqual([null]);
  await client.config('SET', 'appendfsync', 'everysec');
  expect(await told()).toEqual([expect.stringContaining('last two seconds')]);
  await client.config('SET', 'appendfsync', 'no');
  const no = expect.stringContaining('appendfsync is no');
  expect(await told()).toEqual([no, 'redis appendfsync']);
  await client.config('SET', 'appendonly', 'no');
  const nothing = expect.stringContaining('every accepted event that is not settled is lost');
  expect(await told()).toEqual([nothing, 'redis appendonly', 'redis appendfsync']);
  const ingress = await stack.startIngress({ REDIS_URL: server.url });
  expect(ingress.output()).toContain('every accepted event that is not settled is lost');
});
