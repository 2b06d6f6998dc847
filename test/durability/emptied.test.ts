// What an emptied Redis does to readers and to limits.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { Client } from '../client.ts';
import { openStack } from '../stack.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('emptied-reads');
const { id, key } = await stack.createTenant('emptied-reads');
// Tenants of tests have no limits; this one has those of any other.
await stack.owner`update tenants set settings = '{}' where id = ${id}`;

test('an emptied Redis: limits begin full, balances are those of the ledger', async () => {
  const ingress = await stack.startIngress();
  await stack.startWorker();
  const client = new Client(ingress.url, key);
  const amount = { amount: 5, currency: 'USD' };
  const data = { user_id: 'u_1', kind: 'test', amount, reference: 'r' };
  const event = { id: 'e_1', type: 'earning.credited', data };
  expect((await client.post('/v1/events', event, { prefer: 'wait=ledger' })).status).toBe(200);
  const read = async () => {
    const { body, headers } = await client.get('/v1/accounts/user:u_1:earnings/balance');
    return { balance: body['balance'], left: /r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1] };
  };
  const full = (await read()).left;
  while ((await read()).left === full);
  const redis = producerClient(stack.redisUrl, 'test');
  await redisReady(redis);
  await redis.flushall();
  redis.disconnect();
  expect(await read()).toEqual({ balance: amount, left: full });
});
