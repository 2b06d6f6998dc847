// Idempotency-Key, over a command of the test's own that can be slow, refuse or break on demand.
import { afterAll, expect, test } from 'bun:test';
import { Type } from '@sinclair/typebox';
import { closed } from '../../schemas/primitives.ts';
import { createApp } from '../../src/app.ts';
import { Keys } from '../../src/cache/keys.ts';
import { Admission } from '../../src/http/admission.ts';
import { Idempotency } from '../../src/http/idempotency.ts';
import { Limiter } from '../../src/http/limits.ts';
import { problem } from '../../src/http/problem.ts';
import { Recorder } from '../../src/http/recorder.ts';
import { defineRoute, json } from '../../src/http/route.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('idempotency');
const redis = producerClient(stack.redisUrl, 'idempotency test');
await redisReady(redis);

let runs = 0;
const pay = defineRoute({
  name: 'pay',
  method: 'POST',
  path: '/pay/{to}',
  tag: 'test',
  summary: 'Counts its runs',
  scope: 'payments:write',
  limit: 'none',
  idempotent: true,
  params: closed({ to: Type.String() }),
  body: closed({ amount: Type.Integer(), note: Type.Optional(Type.String()) }),
  answers: {},
  examples: [],
  async handler({ body: { amount, note } }) {
    const run = ++runs;
    if (note === 'slow') await Bun.sleep(300);
    if (note === 'break') throw new Error('broken on demand');
    if (note === 'refuse') return problem(409, 'insufficient_balance', 'Not enough.');
    if (note === 'busy') throw problem(503, 'overloaded', 'Busy.');
    return json(201, { run, amount }, { Location: `/pay/${run}` });
  },
});
const log = createLog('test', 'silent');
const resolved = { id: 'k', tenant: 1, scopes: new Set(['payments:write']), publishable: false };
const app = createApp(
  [pay],
  {
    keys: new Keys(
      async (hashes) => new Map(hashes.map((hash) => [hash, { ...resolved, limits: {} }])),
      Date.now,
    ),
    limiter: new Limiter(redis),
    idempotency: new Idempotency(redis),
    admission: new Admission(redis, {
      requestsInFlightMax: 100,
      readsInFlightMax: 100,
      bodyBytesReadingMax: 1_000_000,
      backlogEventsMax: 100,
      queueWaitMsMax: 1_000,
      refusalHoldMs: 0,
    }),
    recorder: new Recorder(new Metrics(), log),
    log,
    trustedProxyHops: 0,
    bodyBytesMax: 1_000,
  },
  { reusePort: false },
);
app.listen({ port: 0, hostname: '127.0.0.1' });
afterAll(async () => {
  await app.server!.stop(true);
  redis.disconnect();
});

interface Paid {
  status: number;
  replayed: boolean;
  location: string | null;
  body: Record<string, unknown>;
}

async function send(key: string | null, body: object | string, to = 'ada'): Promise<Paid> {
  const response = await fetch(`http://127.0.0.1:${app.server!.port}/pay/${to}`, {
    method: 'POST',
    headers: {
      Authorization: 'Bearer tr_test_1234',
      'Content-Type': 'application/json',
      ...(key !== null && { 'Idempotency-Key': key }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return {
    status: response.status,
    replayed: response.headers.get('idempotency-replayed') === 'true',
    location: response.headers.get('location'),
    body: (await response.json()) as Record<string, unknown>,
  };
}

test('the key is required and must be readable', async () => {
  expect(await send(null, { amount: 1 })).toMatchObject({
    status: 400,
    body: { code: 'idempotency_key_missing' },
  });
  expect(await send('x'.repeat(129), { amount: 1 })).toMatchObject({
    status: 400,
    body: { code: 'malformed_request' },
  });
});

test('a replay gives the first answer and runs nothing', async () => {
  const first = await send('k_replay', { amount: 5 });
  const before = runs;
  const again = await send('k_replay', { amount: 5 });
  expect(first).toMatchObject({ status: 201, replayed: false });
  expect(again).toEqual({ ...first, replayed: true });
  expect(runs).toBe(before);
});

test('quoted and bare are the same key, and so is the same body written otherwise', async () => {
  await send('k_quoted', { amount: 5, note: 'a' });
  const again = await send('"k_quoted"', '{ "note": "a",\n "amount": 5 }');
  expect(again.replayed).toBe(true);
});

test('another body, or another path, under the same key is refused', async () => {
  await send('k_other', { amount: 5 });
  for (const reply of [
    await send('k_other', { amount: 6 }),
    await send('k_other', { amount: 5 }, 'eve'),
  ])
    expect(reply).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
});

test('of many at once, one runs and the others are told that it does', async () => {
  const before = runs;
  const replies = await Promise.all(
    Array.from({ length: 20 }, () => send('k_race', { amount: 1, note: 'slow' })),
  );
  const statuses = replies.map(({ status }) => status).toSorted();
  expect(statuses).toEqual([201, ...Array(19).fill(409)]);
  expect(replies.find(({ status }) => status === 409)!.body['code']).toBe('idempotency_in_flight');
  expect(runs - before).toBe(1);
});

test('a refusal is an answer and is replayed', async () => {
  const first = await send('k_refuse', { amount: 1, note: 'refuse' });
  const again = await send('k_refuse', { amount: 1, note: 'refuse' });
  expect(again).toMatchObject({ status: 409, replayed: true });
  expect(again.body).toMatchObject({ code: 'insufficient_balance', detail: 'Not enough.' });
  expect(again.body['request_id']).not.toBe(first.body['request_id']);
});

test('what a retry may change is not kept', async () => {
  for (const note of ['break', 'busy']) {
    const before = runs;
    const body = { amount: 1, note };
    const replies = [await send(`k_${note}`, body), await send(`k_${note}`, body)];
    expect(replies.map(({ replayed }) => replayed)).toEqual([false, false]);
    expect(runs - before).toBe(2);
  }
  const broken = await send('k_break_2', { amount: 1, note: 'break' });
  expect(broken).toMatchObject({ status: 500, body: { code: 'internal_error' } });
  expect(JSON.stringify(broken.body)).not.toContain('on demand');
  expect((await send('k_shape', { amount: 'x' })).status).toBe(422);
  expect((await send('k_shape', { amount: 1 })).status).toBe(201);
});

test('the answer is kept for a day', async () => {
  await send('k_ttl', { amount: 1 });
  const slot = 'idempotency:1:pay:k_ttl';
  expect(await redis.ttl(slot)).toBeWithin(86_390, 86_401);
});
