// An acknowledgement that waits for replicas, against real ones: a failover to the replica that
// confirmed forgets nothing, and without the setting it is told what was forgotten.
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { redisChecks } from '../../src/cli/doctor-servers.ts';
import { producerClient, redisReady, writingClient } from '../../src/io/redis.ts';
import { TooFewReplicas, replicated } from '../../src/io/replicas.ts';
import { Client } from '../client.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { RedisServer } from './servers.ts';

setDefaultTimeout(60_000);
const stack = await openStack('replicas');
const { key } = await stack.createTenant('replicas');
const demand = { REDIS_REPLICAS_MIN: '1', REDIS_REPLICAS_WAIT_MS: '300' };

function writerOf(server: RedisServer, redisReplicasMin: number, waitMs = 300) {
  const producer = producerClient(server.url, 'replicas');
  const options = { redisReplicasMin, redisReplicasWaitMs: waitMs };
  const writer = writingClient(producer, server.url, 'replicas', options);
  afterAll(() => {
    producer.disconnect();
    writer.disconnect();
  });
  return { producer, writer };
}

async function pair(): Promise<{ primary: RedisServer; replica: RedisServer }> {
  const primary = await RedisServer.start();
  const replica = await RedisServer.start();
  await replica.follow(primary);
  return { primary, replica };
}

const event = (id: string) => ({
  id,
  type: 'earning.credited',
  data: { user_id: 'u_1', kind: 'test', amount: { amount: 5, currency: 'USD' }, reference: id },
});

const terms = {
  kind: 'fixed',
  value: { amount: 500, currency: 'USD' },
  limits: { global: 2 },
};
const redemptionOf = (order: string) => ({
  code: 'TWO',
  customer_id: 'c_1',
  order: { id: order, total: { amount: 5_000, currency: 'USD' } },
});

test('without the setting there is one connection, and nobody waits', async () => {
  const primary = await RedisServer.start();
  const { producer, writer } = writerOf(primary, 0);
  expect(writer).toBe(producer);
  await redisReady(writer);
  const asked = writer.set('a', 1);
  expect(replicated<unknown>(writer, asked)).toBe(asked);
  expect(await asked).toBe('OK');
});

test('one WAIT stands for all that was answered while the last was under way', async () => {
  const { primary } = await pair();
  const { writer } = writerOf(primary, 1, 30_000);
  await redisReady(writer);
  const before = await calls(primary, 'wait');
  const asked = Array.from({ length: 500 }, (_, n) => replicated(writer, writer.set(`k${n}`, n)));
  expect(new Set(await Promise.all<unknown>(asked))).toEqual(new Set(['OK']));
  const waits = (await calls(primary, 'wait')) - before;
  expect(waits).toBeGreaterThan(0);
  expect(waits).toBeLessThan(20);
});

test('a silent replica makes the outcome unknown, and others do not wait', async () => {
  const { primary, replica } = await pair();
  const { producer, writer } = writerOf(primary, 1);
  await Promise.all([redisReady(producer), redisReady(writer)]);
  process.kill(replica.pid, 'SIGSTOP');
  const unknown = replicated(writer, writer.set('a', 1));
  expect(await producer.get('b')).toBeNull();
  await expect(unknown).rejects.toBeInstanceOf(TooFewReplicas);
  expect(await producer.get('a')).toBe('1');
  process.kill(replica.pid, 'SIGCONT');
  await eventually('it confirms again', () => replicated<unknown>(writer, writer.set('a', 2)));
});

test('another connection confirms nothing of the one before', async () => {
  const { primary } = await pair();
  const { writer } = writerOf(primary, 1);
  await redisReady(writer);
  const { promise: answered, resolve } = Promise.withResolvers<string>();
  const asked = replicated(writer, answered);
  writer.disconnect(true);
  await new Promise((again) => writer.once('ready', again));
  expect(await writer.wait(1, 1_000)).toBe(1);
  resolve('the answer of the first connection');
  await expect(asked).rejects.toBeInstanceOf(TooFewReplicas);
});

test('too few confirm: 503; the same again counts once, and a failover knows of it', async () => {
  const { primary, replica } = await pair();
  const REDIS_URL = primary.url;
  const ingress = await stack.startIngress({ REDIS_URL, ...demand });
  const client = new Client(ingress.url, key);
  const first = await stack.startWorker({ REDIS_URL });
  const redeem = (to: Client, order = 'o_1') =>
    to.post('/v1/redemptions', redemptionOf(order), { 'idempotency-key': order });
  expect((await client.post('/v1/events', event('r_1'))).status).toBe(202);
  expect((await client.put('/v1/coupons/TWO', terms)).status).toBe(201);
  await eventually('the code is open', async () => (await redeem(client, 'o_0')).status === 201);
  process.kill(replica.pid, 'SIGSTOP');
  const refused = await client.post('/v1/events', event('r_2'));
  expect([refused.status, refused.body['code']]).toEqual([503, 'store_unavailable']);
  expect(refused.headers.get('retry-after')).not.toBeNull();
  expect((await redeem(client)).status).toBe(503);
  // It was made and kept; until a replica has it too, it is not told.
  expect((await redeem(client)).status).toBe(503);
  process.kill(replica.pid, 'SIGCONT');
  await eventually('it is accepted', async () => {
    return (await client.post('/v1/events', event('r_2'))).status === 202;
  });
  const made = await redeem(client);
  expect([made.status, made.headers.get('idempotency-replayed')]).toEqual([201, 'true']);

  // The primary is gone with its disk; the replica is promoted.
  await primary.kill();
  await Promise.all([ingress.kill('SIGTERM'), first.kill('SIGKILL')]);
  await replica.promote();
  const after = await stack.startIngress({
    REDIS_URL: replica.url,
    ...demand,
    REDIS_REPLICAS_MIN: '0',
  });
  const reader = new Client(after.url, key);
  const again = await redeem(reader);
  expect([again.status, again.body]).toEqual([201, made.body]);
  const worker = await stack.startWorker({ REDIS_URL: replica.url });
  await eventually('the code is used up', async () => (await redeem(reader, 'o_2')).status === 409);
  const { body } = await eventually('both are posted', async () => {
    const reply = await reader.get('/v1/accounts/user:u_1:earnings/balance');
    return reply.status === 200 && reply.body['sequence'] === 2 ? reply : null;
  });
  expect(body).toMatchObject({ balance: { amount: 10, currency: 'USD' } });
  await worker.kill('SIGTERM');
});

test('/readyz and doctor say what is missing', async () => {
  const { primary, replica } = await pair();
  const ingress = await stack.startIngress({ REDIS_URL: primary.url, ...demand });
  const named = async () => {
    const checks = await redisChecks(primary.url, 1);
    return checks.filter(({ ok }) => !ok).map(({ name, fix }) => `${name}: ${fix}`);
  };
  expect(await named()).toEqual([expect.stringContaining('set min-replicas-to-write to 1')]);
  await (await primary.client()).config('SET', 'min-replicas-to-write', '1');
  expect(await named()).toEqual([]);

  await replica.kill();
  const unready = await eventually('it is not ready', async () => {
    const answer = await fetch(`${ingress.url}/readyz`);
    return answer.status === 503 ? answer.text() : null;
  });
  expect(unready).toContain('answers, with 0 replicas of 1');
  expect(await named()).toEqual([expect.stringContaining('start 1')]);
  // Redis refuses now, so that nothing was done: the same answer, and nothing to be cleared up.
  const refused = await new Client(ingress.url, key).post('/v1/events', event('r_3'));
  expect([refused.status, refused.body['code']]).toEqual([503, 'store_unavailable']);
});

async function calls(server: RedisServer, command: string): Promise<number> {
  const stats = await (await server.client()).info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
