// The limits of payments over two ingress processes: exact for each user, address and tenant, and
// those of the policy where a tenant sets none.
import { expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { openStack } from '../stack.ts';
import { createKey } from '../tenants.ts';
import { race, races } from './limit-race.ts';

const stack = await openStack('payment_limits');
const believing = { TRUSTED_PROXY_HOPS: '1' };
const [one, two] = await Promise.all([
  stack.startIngress(believing),
  stack.startIngress(believing),
]);

test('where a tenant sets nothing: 10 a minute and user, 100 an address, 10,000 all', async () => {
  const [row] = await stack.owner`insert into tenants (name) values ('standard') returning id`;
  const key = await createKey(stack.owner, row!['id'] as number, ['payments:write']);
  const body = {
    amount: { amount: 4_999, currency: 'USD' },
    customer_id: 'c_1',
    method: { type: 'card', token: 'pm_card_visa' },
  };
  const once = { 'Idempotency-Key': 'standard' };
  const { headers } = await new Client(one.url, key).post('/v1/payments', body, once);
  expect(headers.get('ratelimit-policy')).toBe(
    '"payments-ip";q=100;w=60, "payments-user";q=10;w=60, "payments-tenant";q=10000;w=60',
  );
});

// A tenth of the tenant's quota: the whole of it is `npm run prove:payments -- --limits`.
const short = races.map((plan) =>
  plan.subject === 'tenant' ? { ...plan, quota: 1_000, asks: 1_500 } : plan,
);

test.each(short)('$quota for each $subject, whichever of two processes is asked', async (plan) => {
  const { admitted, odd } = await race(stack, [one.url, two.url], plan);
  expect(odd).toEqual({});
  expect(admitted).toEqual(Array<number>(plan.subjects).fill(plan.quota));
});
