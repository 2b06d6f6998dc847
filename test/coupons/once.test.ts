// Redemptions under idempotency keys, over two processes: one effect and one answer for each key,
// whoever asks at once and whatever is lost. One of the processes reaches Redis through a proxy
// that can lose an answer.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { type Socket, connect, createServer } from 'node:net';
import { Client, type Reply } from '../client.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { openCounters } from './sweep.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);

interface Redemption {
  id: string;
  status: string;
  position: string;
  code?: string;
}
type Answer = Reply<Redemption>;

const stack = await openStack('coupon-once', async (opened) => {
  const { key } = await opened.createTenant('once');
  await openCounters(opened);
  const proxy = await losingProxy(opened.redisUrl);
  afterAll(() => proxy.close());
  const near = await opened.startIngress();
  const far = await opened.startIngress({ REDIS_URL: proxy.url });
  return { proxy, clients: [new Client(near.url, key), new Client(far.url, key)] as const };
});
const { clients, proxy } = stack;
const [near, far] = clients;

/** Forwards to Redis; what contains `proxy.word` is carried out, its answer lost and cut. */
async function losingProxy(redisUrl: string) {
  const { hostname, port } = new URL(redisUrl);
  const sockets = new Set<Socket>();
  const state = { url: '', word: '', lost: 0, close: () => {} };
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let mute = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    client.on('data', (chunk) => {
      if (state.word !== '' && chunk.includes(state.word)) {
        [state.word, mute] = ['', true];
        state.lost++;
        setTimeout(() => client.destroy(), 200);
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => mute || client.write(chunk));
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(redisUrl);
  url.port = String((server.address() as { port: number }).port);
  state.url = url.href;
  state.close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return state;
}

const LIMITED = ['RACE', 'BODIES', 'LAST', 'FIRST', 'AGAIN', 'LOST'] as const;

function redeem(client: Client, code: string, order: string, key: string, more: object = {}) {
  const total = { amount: 5_000, currency: 'USD' };
  const body = { code, customer_id: `c_${order}`, order: { id: order, total }, ...more };
  return client.post<Redemption>('/v1/redemptions', body, { 'idempotency-key': key });
}

function isReplayed({ headers }: Answer): boolean {
  return headers.get('idempotency-replayed') === 'true';
}

async function usesOf(code: string): Promise<number> {
  const { body } = await near.get<{ usage: { reserved: number; redeemed: number } }>(
    `/v1/coupons/${code}`,
  );
  return body.usage.reserved + body.usage.redeemed;
}

async function put(code: string, more: object): Promise<void> {
  const terms = { kind: 'percent', percent_bp: 1_000, ...more };
  expect((await near.put(`/v1/coupons/${code}`, terms)).status).toBeLessThan(300);
}

beforeAll(async () => {
  for (const code of LIMITED) await put(code, { limits: { global: code === 'LAST' ? 1 : 50 } });
  const order = { total: { amount: 5_000, currency: 'USD' } };
  for (const client of clients)
    await eventually('the coupons are known', async () => {
      const replies = await Promise.all(
        LIMITED.map((code) => client.post('/v1/coupons/validate', { code, order })),
      );
      return replies.every(({ body }) => body['valid'] === true);
    });
});

test('of many at once under one key, one redeems and the others are told the same', async () => {
  const replies = await Promise.all(
    Array.from({ length: 60 }, (_, n) => redeem(clients[n % 2]!, 'RACE', 'o1', 'k_race')),
  );
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
  expect(new Set(replies.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(replies.filter(isReplayed)).toHaveLength(59);
  expect(await usesOf('RACE')).toBe(1);
});

test('another body under the key has no effect, even when both come at once', async () => {
  const replies = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      redeem(clients[n % 2]!, 'BODIES', n % 3 === 0 ? 'o1' : 'o2', 'k_bodies'),
    ),
  );
  const ids = new Set(replies.flatMap(({ status, body }) => (status === 201 ? [body.id] : [])));
  expect(ids.size).toBe(1);
  const refused = replies.filter(({ status }) => status !== 201);
  expect(refused.length).toBeGreaterThan(0);
  for (const { status, body } of refused)
    expect([status, body.code]).toEqual([422, 'idempotency_key_reused']);
  expect(await usesOf('BODIES')).toBe(1);
});

test('a refusal stays the answer, and another key is answered anew', async () => {
  const { body } = await redeem(near, 'LAST', 'o1', 'k_last_1');
  const refused = await redeem(far, 'LAST', 'o2', 'k_last_2');
  expect([refused.status, refused.body.code]).toEqual([409, 'reserved_elsewhere']);
  expect((await near.post(`/v1/redemptions/${body.id}/release`, {})).status).toBe(200);
  const again = await redeem(near, 'LAST', 'o2', 'k_last_2');
  expect([again.status, again.body.code, isReplayed(again)]).toEqual([
    409,
    'reserved_elsewhere',
    true,
  ]);
  expect((await redeem(near, 'LAST', 'o2', 'k_last_3')).status).toBe(201);
});

test('the first answer is given again whatever has become of it and of the terms', async () => {
  const first = await redeem(near, 'FIRST', 'o1', 'k_first');
  expect((await near.post(`/v1/redemptions/${first.body.id}/release`, {})).status).toBe(200);
  await put('FIRST', { status: 'disabled' });
  await eventually('the terms are known', async () => {
    const { body } = await redeem(far, 'FIRST', 'o9', `k_first_${crypto.randomUUID()}`);
    return body.code === 'disabled';
  });
  for (const client of clients) {
    const again = await redeem(client, 'FIRST', 'o1', 'k_first');
    expect([again.status, isReplayed(again)]).toEqual([201, true]);
    expect(again.body).toEqual(first.body);
    const other = await redeem(client, 'FIRST', 'o1', 'k_first', { commit: true });
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  }
});

test('an order that holds something is dealt with once for each key', async () => {
  const held = await redeem(near, 'AGAIN', 'o1', 'k_again_1');
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      redeem(clients[n % 2]!, 'AGAIN', 'o1', 'k_again_2', { commit: true }),
    ),
  );
  // Several steps, so those that come meanwhile are told that it runs.
  for (const { status, body } of replies)
    expect(status === 201 ? body.id : body.code).toBe(
      status === 201 ? held.body.id : 'idempotency_in_flight',
    );
  const settled = await redeem(far, 'AGAIN', 'o1', 'k_again_2', { commit: true });
  expect([settled.body.id, settled.body.status]).toEqual([held.body.id, 'committed']);
  expect(isReplayed(settled)).toBe(true);
  expect(await usesOf('AGAIN')).toBe(1);
});

test('a lost answer is found again under its key, and nothing is taken twice', async () => {
  // Its partition is open from here on: what is lost next is a reservation.
  const { body } = await redeem(far, 'LOST', 'o_first', 'k_lost');
  for (let n = 0; n < 5; n++) {
    await eventually('Redis is there again', async () => {
      return (await far.get(`/v1/redemptions/${body.id}`)).status === 200;
    });
    proxy.word = `o_lost_${n}`;
    const lost = await redeem(far, 'LOST', `o_lost_${n}`, `k_lost_${n}`);
    expect(lost.status).toBe(503);
    const again = await redeem(near, 'LOST', `o_lost_${n}`, `k_lost_${n}`);
    expect([again.status, isReplayed(again)]).toEqual([201, true]);
    expect(again.body.position).toMatch(/^coupons\.\d+\.\d+$/);
  }
  expect(proxy.lost).toBe(5);
  expect(await usesOf('LOST')).toBe(6);
});
