// Commands that go out as one write are answered each for itself.
import { expect, test } from 'bun:test';
import { sendTogether } from '../../src/io/one-write.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('one-write', async ({ redisUrl }) => {
  const redis = producerClient(redisUrl, 'one-write');
  await redisReady(redis);
  return { redis };
});
const { redis } = stack;

test('what one turn asks for is one pipeline, and the order is kept', async () => {
  const replies = await Promise.all([
    sendTogether(redis, 'set', ['a', 1]),
    sendTogether(redis, 'incr', ['a']),
    sendTogether(redis, 'get', ['a']),
  ]);
  expect(replies).toEqual(['OK', 2, '2']);
});

test('one that fails fails alone', async () => {
  await redis.set('text', 'x');
  const [before, failed, after] = await Promise.allSettled([
    sendTogether(redis, 'get', ['text']),
    sendTogether(redis, 'incr', ['text']),
    sendTogether(redis, 'get', ['text']),
  ]);
  expect(before).toEqual({ status: 'fulfilled', value: 'x' });
  expect(failed.status).toBe('rejected');
  expect(String((failed as PromiseRejectedResult).reason)).toContain('not an integer');
  expect(after).toEqual({ status: 'fulfilled', value: 'x' });
});

test('while Redis is away each is refused, none waits', async () => {
  redis.disconnect();
  const asked = [sendTogether(redis, 'get', ['a']), sendTogether(redis, 'get', ['b'])];
  for (const each of await Promise.allSettled(asked)) expect(each.status).toBe('rejected');
});
