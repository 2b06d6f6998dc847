// Workers that take some streams only: each stream has an owner among those that take it, and what
// floods one topic waits for its own workers while the rest goes on.
import { randomUUID } from 'node:crypto';
import { expect, test } from 'bun:test';
import { type Topic, topics } from '../../schemas/events.ts';
import { systemTime } from '../../src/io/clock.ts';
import { createLog } from '../../src/io/log.ts';
import { leaseStore } from '../../src/store/leases.ts';
import { LeaseKeeper, allStreams, streamsOf } from '../../src/stream/lease.ts';
import { Client } from '../client.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('worker_topics');
const world = { time: systemTime, random: Math.random, log: createLog('test', 'fatal') };
const rest = topics.filter((topic) => topic !== 'webhooks');

function keeperOf(worker: string, taken: readonly Topic[]): LeaseKeeper {
  const store = leaseStore(stack.sql, {
    ...{ worker, instance: randomUUID(), leaseMs: 600, streams: streamsOf(taken) },
  });
  return new LeaseKeeper({ worker, store, renewMs: 50, world, onSuperseded() {} });
}

const owns = (keeper: LeaseKeeper): string[] => [...keeper.owned.keys()].toSorted();
const sorted = (streams: readonly string[]): string[] => streams.toSorted();

test('a stream belongs to a worker that takes it, whoever else is alive', async () => {
  const hooks = keeperOf('hooks', ['webhooks']);
  const books = keeperOf('books', rest);
  await Promise.all([hooks.start(), books.start()]);
  await eventually('each has its own', () => hooks.owned.size + books.owned.size === 32);
  expect(owns(hooks)).toEqual(sorted(streamsOf(['webhooks'])));
  expect(owns(books)).toEqual(sorted(streamsOf(rest)));

  // Nobody else takes these.
  await hooks.stop();
  await Bun.sleep(700);
  expect(owns(books)).toEqual(sorted(streamsOf(rest)));

  // Of one that takes everything, they share what both take.
  const every = keeperOf('every', topics);
  await every.start();
  await eventually('all are shared', () => {
    const held = [...owns(every), ...owns(books)];
    return held.length === 32 && new Set(held).size === 32;
  });
  expect(owns(every)).toEqual(expect.arrayContaining(streamsOf(['webhooks'])));
  expect(owns(books).length).toBeGreaterThan(0);
  await books.stop();
  await eventually('one has all', () => every.owned.size === allStreams.length);
  await every.stop();
}, 30_000);

test('a worker that comes back with other topics leaves nothing without an owner', async () => {
  const books = keeperOf('books', rest);
  const once = keeperOf('changed', topics);
  await Promise.all([books.start(), once.start()]);
  // Whoever came first had them all until it heard of the other.
  await eventually(
    'all are shared',
    () => books.owned.size + once.owned.size === 32 && once.owned.size > 8,
  );
  // Killed: it gives nothing back, and its name is alive again at once.
  const now = keeperOf('changed', ['webhooks']);
  await now.start();
  await eventually('the others have what it took', () => books.owned.size === 24);
  expect(owns(now)).toEqual(sorted(streamsOf(['webhooks'])));
  await Promise.all([books.stop(), now.stop(), once.stop()]);
}, 30_000);

test('webhooks without a worker wait, and the ledger does not wait for them', async () => {
  const tenant = await stack.createTenant('worker_topics');
  const ingress = await stack.startIngress();
  await stack.startWorker({ WORKER_TOPICS: 'events, coupons,payments' });
  const client = new Client(ingress.url, tenant.key);
  const account = { secret_key: 'sk_test_topics', webhook_secret: 'whsec_topics' };
  const { body } = await client.put('/v1/gateways/stripe', account);
  const path = String(body['webhook_path']);
  const told = async (id: string): Promise<Response> => {
    const text = JSON.stringify({ id, type: 'a.b', data: { object: {} } });
    const time = Math.floor(Date.now() / 1_000);
    const hmac = new Bun.CryptoHasher('sha256', 'whsec_topics').update(`${time}.${text}`);
    const signature = `t=${time},v1=${hmac.digest('hex')}`;
    const headers = { 'content-type': 'application/json', 'stripe-signature': signature };
    return await fetch(ingress.url + path, { method: 'POST', headers, body: text });
  };
  await eventually('it is taken', async () => (await told('evt_1')).status === 202);
  const data = { user_id: 'u_1', kind: 'test', amount: { amount: 5, currency: 'USD' } };
  const event = { id: 'e_1', type: 'earning.credited', data: { ...data, reference: 'r' } };
  const settled = await client.post('/v1/events', event, { prefer: 'wait=ledger' });
  expect(settled.status).toBe(200);
  const journey = `/v1/events/stripe:${path.split('/').at(-1)!}:evt_1`;
  expect((await client.get(journey)).body).toMatchObject({ status: 'accepted' });
  await stack.startWorker({ WORKER_TOPICS: 'webhooks' });
  await eventually('it is read', async () => {
    return (await client.get(journey)).body['status'] === 'posted';
  });
}, 60_000);
