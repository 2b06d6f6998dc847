// Webhooks to tenants on the whole stack: a payment over HTTP, and the tenant's receiver is told
// what became of it, by an effects process of its own.
import { afterAll, expect, test } from 'bun:test';
import { eventually } from '../processes.ts';
import { card, openPayments } from '../payments/payment-stack.ts';
import { startReceiver, verify } from './receiver.ts';

const stack = await openPayments('hooks_through', { WEBHOOKS_PRIVATE_ALLOWED: '127.0.0.0/8' });
const receiver = startReceiver();
afterAll(() => receiver.stop());
const { client } = stack;

test('a payment and its refund are told once each, to whoever can verify it', async () => {
  const endpoint = await client.post<{ id: string; secret: string }>('/v1/webhook-endpoints', {
    url: receiver.url,
  });
  expect(endpoint.status).toBe(201);
  const { body } = await stack.ask('/v1/payments', card());
  const id = String(body['id']);
  await stack.becomes(id, 'captured');
  await stack.ask(`/v1/payments/${id}/refunds`, { amount: { amount: 1_000, currency: 'USD' } });
  await stack.becomes(id, 'partially_refunded');
  const wanted = ['payment.captured', 'payment.partially_refunded', 'refund.succeeded'];
  await eventually('all is told', () => receiver.received.length >= wanted.length);
  for (const got of receiver.received) {
    verify(got, endpoint.body.secret);
    expect(got.body).toMatchObject({ subject: id, data: { payment_id: id } });
    expect(got.text).not.toContain('pm_card_visa');
  }
  const inOrder = receiver.received.toSorted((a, b) => a.body.sequence - b.body.sequence);
  expect(inOrder.map((got) => got.body.type).filter((type) => wanted.includes(type))).toEqual(
    wanted,
  );
  expect(new Set(receiver.received.map((got) => got.id)).size).toBe(receiver.received.length);
  expect(inOrder.find((got) => got.body.type === 'payment.captured')!.body.data).toMatchObject({
    ...{ status: 'captured', captured: 4_999, refunded: 0, customer_id: 'c_1' },
    amount: { amount: 4_999, currency: 'USD' },
  });
});

test('a payment that fails says why', async () => {
  const { body } = await stack.ask(
    '/v1/payments',
    card({ method: { type: 'card', token: 'pm_card_chargeDeclined' } }),
  );
  const told = await eventually('it is told', () =>
    receiver.received.find(
      ({ body: { subject, type } }) =>
        [subject, type].join() === [body['id'], 'payment.failed'].join(),
    ),
  );
  expect(told.body.data).toMatchObject({ status: 'failed', decline_reason: 'card_declined' });
});
