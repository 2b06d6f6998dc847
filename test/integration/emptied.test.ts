// Redis loses everything while the ledger has a history: positions go on from where the ledger is,
// so that nobody is told that a new event is settled because an old one was.
import { expect, test } from 'bun:test';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { Client } from '../client.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('emptied', async (opened) => {
  const { key } = await opened.createTenant('emptied');
  const ingress = await opened.startIngress();
  const worker = await opened.startWorker();
  return { client: new Client(ingress.url, key), worker };
});
const { client, worker } = stack;

function credit(id: string, waitMs: number) {
  const amount = { amount: 5, currency: 'USD' };
  const data = { user_id: 'u_1', kind: 'test', amount, reference: id };
  return client.post<{ results: { position: string; outcome?: { verdict: string } }[] }>(
    '/v1/events',
    { id, type: 'earning.credited', data },
    { prefer: `wait=ledger; timeout=${waitMs}` },
  );
}

test('a new event is not taken for settled because its offset once was', async () => {
  for (let n = 0; n < 5; n++) expect((await credit(`before_${n}`, 10_000)).status).toBe(200);
  const redis = producerClient(stack.redisUrl, 'emptied');
  await redisReady(redis);
  process.kill(worker.pid, 'SIGSTOP');
  await redis.flushall();
  const { status, body } = await credit('after', 700);
  const { position } = body.results[0]!;
  const read = await client.get(`/v1/accounts/user:u_1:earnings/balance?at_least=${position}`);
  process.kill(worker.pid, 'SIGCONT');
  redis.disconnect();
  expect([status, body.results[0]!.outcome]).toEqual([202, undefined]);
  expect(Number(position.split('.')[2])).toBeGreaterThan(5);
  expect(read.status).toBe(503);

  expect((await credit('later', 10_000)).status).toBe(200);
  const balance = await client.get('/v1/accounts/user:u_1:earnings/balance');
  expect(balance.body).toMatchObject({ balance: { amount: 35, currency: 'USD' }, sequence: 7 });
}, 60_000);
