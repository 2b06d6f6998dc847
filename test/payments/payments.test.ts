// Payments over HTTP, as a shop sees them: accepted, followed, captured, cancelled, refunded, with
// the redemption that hangs on them; and what is refused leaves nothing behind.
import { describe, expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { eventually } from '../processes.ts';
import { card, openPayments } from './payment-stack.ts';

const { ask, becomes, client, createTenant, owner } = await openPayments('payments_http');

async function paid(more: object = {}): Promise<string> {
  const { status, body } = await ask('/v1/payments', card({ gateway: 'stripe', ...more }));
  expect({ status, body }).toMatchObject({ status: 202, body: { status: 'processing' } });
  return body['id'] as string;
}

test('a payment is accepted at once, and captured by the workers', async () => {
  const id = await paid({ order_id: 'o_1', metadata: { basket: 'b_1' } });
  expect(await becomes(id, 'captured')).toMatchObject({
    amount: { amount: 4_999, currency: 'USD' },
    captured: 4_999,
    gateway: 'stripe',
    order_id: 'o_1',
    metadata: { basket: 'b_1' },
    method: { type: 'card' },
  });
});

test('the same key is the same payment', async () => {
  const again = { 'Idempotency-Key': 'payments-once' };
  const one = await ask('/v1/payments', card({ customer_id: 'c_once' }), again);
  const two = await ask('/v1/payments', card({ customer_id: 'c_once' }), again);
  expect(two.body['id']).toBe(one.body['id']);
  expect(two.headers.get('idempotency-replayed')).toBe('true');
  await becomes(one.body['id'] as string, 'captured');
  const other = await ask('/v1/payments', card({ customer_id: 'c_other' }), again);
  expect(other.status).toBe(422);
});

test('held, captured in part; captured again is refused', async () => {
  const id = await paid({ capture: 'manual' });
  await becomes(id, 'authorized');
  const part = { amount: { amount: 3_000, currency: 'USD' } };
  expect((await ask(`/v1/payments/${id}/capture`, part)).status).toBe(200);
  expect(await becomes(id, 'captured')).toMatchObject({ captured: 3_000 });
  expect((await ask(`/v1/payments/${id}/capture`, part)).body).toMatchObject({
    status: 409,
    code: 'wrong_status',
  });
});

test('held and cancelled', async () => {
  const id = await paid({ capture: 'manual' });
  await becomes(id, 'authorized');
  const much = { amount: { amount: 5_000, currency: 'USD' } };
  expect((await ask(`/v1/payments/${id}/capture`, much)).body).toMatchObject({
    code: 'amount_too_large',
  });
  expect((await ask(`/v1/payments/${id}/cancel`, {})).status).toBe(200);
  await becomes(id, 'cancelled');
});

test('refunded in parts up to what was captured', async () => {
  const id = await paid();
  await becomes(id, 'captured');
  const refund = (amount: number) =>
    ask(`/v1/payments/${id}/refunds`, { amount: { amount, currency: 'USD' }, reason: 'returned' });
  expect((await refund(1_999)).body).toMatchObject({ payment_id: id, amount: 1_999 });
  expect((await refund(3_001)).body).toMatchObject({ code: 'amount_too_large' });
  expect(await becomes(id, 'partially_refunded')).toMatchObject({ refunded: 1_999 });
  // Without an amount: all that is left.
  expect((await ask(`/v1/payments/${id}/refunds`, {})).body).toMatchObject({ amount: 3_000 });
  const { refunds, ...sums } = await becomes(id, 'refunded');
  expect(sums).toMatchObject({ refunded: 4_999, refund_pending: 0 });
  const each = (refunds as { amount: number }[]).toSorted((a, b) => a.amount - b.amount);
  expect(each).toMatchObject([
    { amount: 1_999, status: 'succeeded' },
    { amount: 3_000, status: 'succeeded' },
  ]);
  expect(await refund(1)).toMatchObject({ body: { code: 'wrong_status' } });
  const yen = { amount: { amount: 1, currency: 'JPY' } };
  expect((await ask(`/v1/payments/${id}/refunds`, yen)).status).toBe(409);
});

test('a refused card says why', async () => {
  const id = await paid({ method: { type: 'card', token: 'pm_card_visa_chargeDeclined' } });
  expect(await becomes(id, 'failed')).toMatchObject({ decline_reason: 'card_declined' });
});

test('a list is as new as the position that its reader has seen', async () => {
  const customer_id = 'c_lists';
  expect((await client.get(`/v1/payments?customer_id=${customer_id}`)).body['data']).toEqual([]);
  const ids: string[] = [];
  for (let count = 1; count <= 3; count++) {
    const { body } = await ask('/v1/payments', card({ customer_id }));
    ids.unshift(body['id'] as string);
    const path = `/v1/payments?customer_id=${customer_id}&at_least=${String(body['position'])}`;
    const { body: list } = await client.get<{ data: { id: string }[] }>(path);
    expect(list.data.map(({ id }) => id)).toEqual(ids);
  }
  const { body: first } = await client.get(`/v1/payments?customer_id=${customer_id}&limit=2`);
  const { body: rest } = await client.get<{ data: { id: string }[] }>(
    `/v1/payments?customer_id=${customer_id}&cursor=${String(first['next_cursor'])}`,
  );
  expect(rest.data.map(({ id }) => id)).toEqual(ids.slice(2));
  for (const place of [
    'OWN',
    '2026-02-30T00:00:00.000Z/pay_1',
    `0000-01-01T00:00:00.000Z/${ids[0]}`,
  ]) {
    const cursor = Buffer.from(`1:${place}`).toString('base64url');
    const made = await client.get(`/v1/payments?customer_id=${customer_id}&cursor=${cursor}`);
    expect(made.body).toMatchObject({ status: 400, code: 'malformed_request' });
  }
});

describe('its redemption', () => {
  const reserve = async (code: string) => {
    const { body } = await ask('/v1/redemptions', {
      codes: [code],
      customer_id: 'c_1',
      order: { id: `o_${code}`, total: { amount: 4_999, currency: 'USD' } },
    });
    expect(body).toMatchObject({ status: 'reserved' });
    return body['id'] as string;
  };
  const statusOf = async (id: string) => (await client.get(`/v1/redemptions/${id}`)).body['status'];
  const becomesOf = (id: string, status: string) =>
    eventually(`${id} is ${status}`, async () => (await statusOf(id)) === status);

  test('is committed by the capture, and given back by the whole refund', async () => {
    await client.put('/v1/coupons/PAID', {
      ...{ kind: 'percent', percent_bp: 1_000, limits: { global: 1 } },
      returned_on_refund: true,
    });
    const redemption_id = await reserve('PAID');
    const id = await paid({ redemption_id });
    await becomes(id, 'captured');
    await becomesOf(redemption_id, 'committed');
    await ask(`/v1/payments/${id}/refunds`, {});
    await becomesOf(redemption_id, 'released');
  });

  test('must be there, and held', async () => {
    const unknown = `rdm_${Bun.randomUUIDv7()}`;
    expect((await ask('/v1/payments', card({ redemption_id: unknown }))).body).toMatchObject({
      ...{ status: 409, code: 'redemption_unknown' },
    });
    await client.put('/v1/coupons/GIVENBACK', { kind: 'percent', percent_bp: 1_000 });
    const redemption_id = await reserve('GIVENBACK');
    await ask(`/v1/redemptions/${redemption_id}/release`, {});
    expect((await ask('/v1/payments', card({ redemption_id }))).body).toMatchObject({
      ...{ status: 409, code: 'already_released' },
    });
  });

  test('is released when the payment fails', async () => {
    await client.put('/v1/coupons/FAILED', {
      ...{ kind: 'percent', percent_bp: 1_000, limits: { global: 1 } },
    });
    const redemption_id = await reserve('FAILED');
    await paid({ redemption_id, method: { type: 'card', token: 'pm_card_visa_chargeDeclined' } });
    await becomesOf(redemption_id, 'released');
  });
});

describe('what is refused leaves nothing behind', () => {
  const count = async () =>
    Number((await owner`select count(*) from payments where customer_id = 'c_bad'`)[0]!['count']);

  test.each([
    ['a card number as a token', { method: { type: 'card', token: '4242424242424242' } }, 422],
    ['a card number in the metadata', { metadata: { note: 'my 4242 4242 4242 4242' } }, 422],
    ['no amount', { amount: { amount: 0, currency: 'USD' } }, 422],
    ['an unknown property', { cvc: '123' }, 422],
    ['a method that is not there', { method: { type: 'cash', token: 't' } }, 422],
  ])('%s', async (_, more, expected) => {
    const { status, body } = await ask('/v1/payments', card({ customer_id: 'c_bad', ...more }));
    expect(status).toBe(expected);
    expect(JSON.stringify(body)).not.toContain('4242');
    expect(await count()).toBe(0);
  });

  test('no idempotency key', async () => {
    const { status } = await client.post('/v1/payments', card({ customer_id: 'c_bad' }));
    expect(status).toBe(400);
    expect(await count()).toBe(0);
  });
});

test("another tenant's payment is not there", async () => {
  const id = await paid();
  await becomes(id, 'captured');
  const stranger = await createTenant('payments_stranger');
  const other = new Client(client.url, stranger.key);
  expect((await other.get(`/v1/payments/${id}`)).status).toBe(404);
  const key = { 'Idempotency-Key': 'steal' };
  expect((await other.post(`/v1/payments/${id}/refunds`, {}, key)).status).toBe(404);
});
