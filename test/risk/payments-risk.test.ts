// Risk over HTTP, as a shop and its staff see it: rules and lists set, payments let through, held
// and blocked, what that does to the money, why it was so, and a second rule set on the side.
import { describe, expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { card, openPayments } from '../payments/payment-stack.ts';
import { eventually } from '../processes.ts';

const stack = await openPayments('risk_http');
const { ask, becomes, client, owner, sandbox } = stack;
const stranger = new Client(client.url, (await stack.createTenant('risk_stranger')).key);

const WAIT = { prefer: 'wait=ledger' };

interface Risk extends Record<string, unknown> {
  score: number;
  decision: string;
  version: number;
  summary: string;
  reasons: { rule: string; points: number; text: string }[];
  signals: Record<string, number>;
  shadow: { decision: string; score: number; version: number } | null;
  reviews: object[];
}

async function pay(more: object = {}): Promise<{ id: string; status: string }> {
  const { status, body } = await ask('/v1/payments', card({ gateway: 'stripe', ...more }), WAIT);
  expect({ status, body }).toMatchObject({ status: 202 });
  return body as { id: string; status: string };
}

async function riskOf(id: string): Promise<Risk> {
  const { status, body } = await client.get<Risk>(`/v1/payments/${id}/risk`);
  expect({ status, body }).toMatchObject({ status: 200 });
  return body;
}

/** Every process knows the version when a new payment was judged by it. */
async function putRules(path: string, rules: object): Promise<number> {
  const { status, body } = await client.put(path, rules);
  expect({ status, body }).toMatchObject({ status: 200 });
  const version = body['version'] as number;
  await eventually(`version ${version} holds`, async () => {
    const risk = await riskOf((await pay({ customer_id: `c_${crypto.randomUUID()}` })).id);
    return (path.endsWith('shadow') ? risk.shadow?.version : risk.version) === version;
  });
  return version;
}

const amountRule = (least: number, points: number) => ({
  name: `amount_over_${least}`,
  when: [{ signal: 'amount', at_least: least }],
  points,
  reason: 'The amount is {amount}.',
});
const rules = {
  about: 'Large ones are looked at.',
  thresholds: { review: 500, block: 800 },
  rules: [amountRule(50_000, 600), amountRule(90_000, 300)],
};
const dollars = (amount: number) => ({ amount: { amount, currency: 'USD' } });
const chargesOf = (id: string) =>
  sandbox.control<object[]>('GET', `/objects/stripe/charge?payment_id=${id}`);
const reviewsOf = async (of: Client) =>
  (await of.get<{ data: { payment: { id: string }; risk: Risk }[] }>('/v1/reviews')).body.data;

test('by default a payment is let through, and the numbers say why', async () => {
  const { id, status } = await pay({ customer_id: 'c_default', device_id: 'd_1' });
  expect(status).toBe('processing');
  expect(await riskOf(id)).toMatchObject({
    payment_id: id,
    ...{ decision: 'allow', score: 0, version: 0, reasons: [], shadow: null, reviews: [] },
    summary: 'Let through: the score is 0; review begins at 500, blocking at 800.',
    signals: { user_1m: 1, ip_1m: 1, device_1m: 1, token_1m: 1, history_known: 1, paid_count: 0 },
  });
  const { body } = await client.get('/v1/risk/rules');
  expect(body).toMatchObject({ name: 'active', version: 0, changed_at: null });
});

test('one key, asked twice at once and later, is one payment that counts once', async () => {
  const once = { 'Idempotency-Key': 'risk-once', ...WAIT };
  const body = card({ customer_id: 'c_once' });
  await Promise.all([ask('/v1/payments', body, once), ask('/v1/payments', body, once)]);
  expect((await ask('/v1/payments', body, once)).headers.get('idempotency-replayed')).toBe('true');
  const { id } = await pay({ customer_id: 'c_once' });
  expect((await riskOf(id)).signals).toMatchObject({ user_24h: 2 });
});

test('an unusual amount is held against what was paid before, from the ledger', async () => {
  for (let n = 0; n < 5; n++) {
    const { id } = await pay({ customer_id: 'c_habit', device_id: 'd_habit' });
    await becomes(id, 'captured');
  }
  const odd = await pay({ customer_id: 'c_habit', device_id: 'd_new', ...dollars(60_000) });
  expect(await riskOf(odd.id)).toMatchObject({
    score: 450,
    reasons: [
      { rule: 'unusual_amount', points: 300, text: '12 times what the customer usually pays.' },
      { rule: 'new_device', points: 150 },
    ],
    signals: { paid_count: 5, amount_to_mean: 12, device_new: 1, token_new: 0 },
  });
});

describe('with rules of its own', () => {
  test('a payment is held until it is approved, and only then charged', async () => {
    const version = await putRules('/v1/risk/rules', rules);
    const { id, status } = await pay(dollars(60_000));
    expect(status).toBe('requires_review');
    expect(await chargesOf(id)).toEqual([]);
    expect(await riskOf(id)).toMatchObject({
      ...{ decision: 'review', score: 600, version },
      summary: 'Held for review: the score is 600; review begins at 500, blocking at 800.',
      reasons: [{ rule: 'amount_over_50000', points: 600, text: 'The amount is 60000.' }],
    });
    const queue = await reviewsOf(client);
    expect(queue).toMatchObject([{ payment: { id, status: 'requires_review' } }]);
    expect(queue[0]!.risk.score).toBe(600);
    expect(queue[0]!.risk.summary).toStartWith('Held for review');
    expect(await reviewsOf(stranger)).toEqual([]);
    const approved = await ask(`/v1/payments/${id}/approve`, { reason: 'Known buyer.' });
    expect(approved).toMatchObject({ status: 200, body: { status: 'processing' } });
    await becomes(id, 'captured');
    expect(await chargesOf(id)).toHaveLength(1);
    expect(await reviewsOf(client)).toEqual([]);
    expect((await riskOf(id)).reviews).toMatchObject([
      { verdict: 'approved', reason: 'Known buyer.' },
    ]);
    const late = await ask(`/v1/payments/${id}/reject`, { reason: 'Too late.' });
    expect(late.body).toMatchObject({ status: 409, code: 'wrong_status' });
  });

  test('a rejected payment fails, and nobody is charged', async () => {
    const { id } = await pay(dollars(60_000));
    const { body } = await ask(`/v1/payments/${id}/reject`, { reason: 'Stolen card.' });
    expect(body).toMatchObject({ status: 'failed', decline_reason: 'rejected_in_review' });
    expect((await riskOf(id)).reviews).toMatchObject([{ verdict: 'rejected' }]);
    const [row] =
      await owner`select count(*)::int as n from effects where data->>'payment_id' = ${id}`;
    expect(row!['n']).toBe(0);
  });

  test('what is rejected gives the coupon back that hangs on it', async () => {
    await client.put('/v1/coupons/RISKY', { kind: 'percent', percent_bp: 1_000 });
    const order = { id: 'o_risky', total: { amount: 70_000, currency: 'USD' } };
    const asked = { code: 'RISKY', customer_id: 'c_risky', order };
    const reserved = await eventually('the coupon is known', async () => {
      const { status, body } = await ask('/v1/redemptions', asked);
      return status === 201 ? body : null;
    });
    const redemption = async () =>
      (await client.get(`/v1/redemptions/${String(reserved['id'])}`)).body['status'];
    const { id, status } = await pay({
      ...{ redemption_id: reserved['id'], customer_id: 'c_risky', ...dollars(63_000) },
    });
    expect(status).toBe('requires_review');
    expect(await redemption()).toBe('reserved');
    await ask(`/v1/payments/${id}/reject`, { reason: 'Not this one.' });
    await eventually('it is given back', async () => (await redemption()) === 'released');
  });

  test('a blocked payment is a failed one, with its reasons', async () => {
    const { id, status } = await pay(dollars(95_000));
    expect(status).toBe('failed');
    expect((await client.get(`/v1/payments/${id}`)).body).toMatchObject({
      ...{ status: 'failed', decline_reason: 'blocked_by_risk' },
    });
    expect(await riskOf(id)).toMatchObject({ decision: 'block', score: 900 });
    expect(await chargesOf(id)).toEqual([]);
  });

  test('the queue comes in pages, the longest waiting first', async () => {
    const held: string[] = [];
    for (let n = 0; n < 3; n++) held.push((await pay(dollars(70_000 + n))).id);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor && `&cursor=${cursor}`;
      const { body } = await client.get<{
        data: { payment: { id: string } }[];
        next_cursor: string | null;
      }>(`/v1/reviews?limit=2${query}`);
      seen.push(...body.data.map(({ payment }) => payment.id));
      cursor = body.next_cursor;
    }
    expect(seen).toEqual(held);
    for (const id of held) await ask(`/v1/payments/${id}/reject`, { reason: 'Test.' });
  });
});

test('a shadow set decides nothing, is recorded, and compared', async () => {
  const active = (await client.get('/v1/risk/rules')).body['version'];
  const since = new Date().toISOString();
  const strict = { ...rules, rules: [amountRule(40_000, 900)] };
  const shadow = await putRules('/v1/risk/rules/shadow', strict);
  const { id, status } = await pay(dollars(45_000));
  expect(status).toBe('processing');
  await becomes(id, 'captured');
  expect(await riskOf(id)).toMatchObject({
    ...{ decision: 'allow', version: active, shadow: { decision: 'block', version: shadow } },
  });
  const { body } = await client.get<{ cells: object[]; differences: object[] }>(
    `/v1/risk/comparison?from=${since}`,
  );
  const cell = { active: 'allow', shadow: 'block', shadow_version: shadow };
  expect(body.cells).toContainEqual({
    ...{ ...cell, version: active, payments: 1, paid: 1, failed: 0, disputed: 0 },
  });
  expect(body.differences).toMatchObject([
    {
      ...{ payment_id: id, status: 'captured', active: { decision: 'allow', score: 0 } },
      shadow: { decision: 'block', score: 900, reasons: [{ text: 'The amount is 45000.' }] },
    },
  ]);
  expect((await stranger.get<{ cells: object[] }>('/v1/risk/comparison')).body.cells).toEqual([]);
  expect((await client.send('DELETE', '/v1/risk/rules/shadow')).status).toBe(200);
  await eventually(
    'it is tried no more',
    async () => (await riskOf((await pay()).id)).shadow === null,
  );
});
