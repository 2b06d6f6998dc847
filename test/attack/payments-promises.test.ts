// What a buyer was promised belongs to him, his order and its time: nobody else pays less by it,
// and a review that takes longer than the promise holds does not let it through.
import { describe, expect, test } from 'bun:test';
import { eventually } from '../processes.ts';
import { card, openPayments } from '../payments/payment-stack.ts';

const { ask, client, owner } = await openPayments('attack_promises');

async function reserved(code: string, more: object = {}): Promise<string> {
  await client.put(`/v1/coupons/${code}`, { kind: 'percent', percent_bp: 1_000 });
  const order = { id: `o_${code}`, total: { amount: 70_000, currency: 'USD' } };
  const { body } = await ask('/v1/redemptions', {
    ...{ codes: [code], customer_id: `c_${code}`, order, ...more },
  });
  expect(body).toMatchObject({ status: 'reserved' });
  return body['id'] as string;
}

const payFor = (code: string, more: object) =>
  ask('/v1/payments', card({ customer_id: `c_${code}`, order_id: `o_${code}`, ...more }));

const hasRunOut = (id: string) =>
  eventually('it has run out', async () => {
    const { body } = await client.get(`/v1/redemptions/${id}`);
    return Date.parse(body['expires_at'] as string) < Date.now() || body['status'] === 'released';
  });

describe('a redemption', () => {
  test('of another customer or order is not paid by', async () => {
    const redemption_id = await reserved('THEIRS');
    for (const more of [{ customer_id: 'c_else' }, { order_id: 'o_else' }])
      expect((await payFor('THEIRS', { redemption_id, ...more })).body).toMatchObject({
        ...{ status: 409, code: 'reserved_elsewhere' },
      });
    expect((await payFor('THEIRS', { redemption_id })).status).toBe(202);
  });

  test('that has run out is not paid by', async () => {
    const redemption_id = await reserved('SHORT', { ttl_s: 1 });
    await hasRunOut(redemption_id);
    const { body } = await payFor('SHORT', { redemption_id });
    expect(body['status']).toBe(409);
    expect(['expired', 'already_released']).toContain(body['code'] as string);
  });
});

test('a review that outlasts its redemption is not approved; it can be rejected', async () => {
  const rule = {
    ...{ name: 'all', when: [{ signal: 'amount', at_least: 60_000 }], points: 600 },
    reason: 'The amount is {amount}.',
  };
  const rules = { thresholds: { review: 500, block: 800 }, rules: [rule] };
  expect((await client.put('/v1/risk/rules', rules)).status).toBe(200);
  const dollars = { amount: { amount: 63_000, currency: 'USD' } };
  await eventually('the rules hold', async () => {
    const { body } = await ask('/v1/payments', card(dollars));
    return body['status'] === 'requires_review';
  });
  const redemption_id = await reserved('WAITS', { ttl_s: 2 });
  const { body } = await payFor('WAITS', { redemption_id, ...dollars });
  expect(body).toMatchObject({ status: 'requires_review' });
  const id = body['id'] as string;
  await hasRunOut(redemption_id);
  const verdict = (action: string) => ask(`/v1/payments/${id}/${action}`, { reason: 'Known.' });
  expect((await verdict('approve')).status).toBe(409);
  const [calls] = await owner`
    select count(*)::int as n from effects where key like ${`${id}:charge:%`}`;
  expect(calls!['n']).toBe(0);
  expect((await verdict('reject')).body).toMatchObject({ status: 'failed' });
});
