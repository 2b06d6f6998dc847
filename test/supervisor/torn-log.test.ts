// A power cut tears the last transaction of Redis's file in the middle of a command. What is left
// of it must not come back at a later start: offsets without events would be counted as lost, and
// single writes after it would go.
import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { RedisVictim } from '../faults/servers.ts';

const dir = mkdtempSync(join(tmpdir(), 'tallyrace-torn-'));
const server = new RedisVictim(dir, await findFreePort());
await server.start();
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Two writes, as an append is. */
const APPEND = `
redis.call('INCRBY', 'offset', 4)
return redis.call('XADD', 'stream', '*', 'o', redis.call('GET', 'offset'), 'b', 'some bytes')
`;

async function ask<T>(what: (redis: ReturnType<typeof producerClient>) => Promise<T>): Promise<T> {
  const redis = producerClient(server.url, 'test');
  try {
    await redisReady(redis);
    return await what(redis);
  } finally {
    redis.disconnect();
  }
}

const append = () => ask((redis) => redis.eval(APPEND, 0));
const state = () =>
  ask(async (redis) => [
    await redis.get('offset'),
    await redis.xlen('stream'),
    await redis.get('a'),
  ]);

test('what a power cut tore stays away at the next start, and at the one after it', async () => {
  await append();
  await append();
  const bytes = server.logBytes();
  await server.kill();
  server.cutLog(bytes - 30);
  await server.start();
  expect(await state()).toEqual(['4', 1, null]);
  await ask((redis) => redis.set('a', 'kept'));
  await server.kill();
  await server.start();
  expect(await state()).toEqual(['4', 1, 'kept']);
  await append();
  await server.kill();
  await server.start();
  expect(await state()).toEqual(['8', 2, 'kept']);
}, 60_000);
