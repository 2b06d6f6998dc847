// Card numbers and secrets, put wherever a tenant can put a word: what looks like a card number is
// refused and not repeated; neither is in a log, a table, a name in Redis, a metric or an answer.
import { afterAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { eventually } from '../processes.ts';
import { card, openPayments } from '../payments/payment-stack.ts';

const stack = await openPayments('attack_words', { LOG_LEVEL: 'trace' });
const { ask, client, owner } = stack;
const redis = producerClient(stack.redisUrl, 'attack words');
await redisReady(redis);
afterAll(() => redis.disconnect());

const DIGITS = '4111111111111111';
const APART = '4111.1111.1111.1111';
/** Bytes are shown in hexadecimal. */
const hex = (text: string): string => Buffer.from(text).toString('hex');
const seen = new RegExp(`${DIGITS}|4111.1111.1111.1111|${hex(DIGITS)}|${hex(APART)}`);
const secrets = {
  ...{ stripe: 'sk_test_attackwords', stripeWebhook: 'whsec_attackwords_1' },
  ...{ razorpay: 'rzp_secret_attackwords', razorpayWebhook: 'rzp_whsec_attackwords' },
};
const answers: string[] = [];

const keyOf = (more: Record<string, string> = {}) => ({
  'Idempotency-Key': Bun.randomUUIDv7(),
  ...more,
});

async function said(method: string, path: string, body?: object, headers = keyOf()) {
  const reply = await client.send<Record<string, unknown>>(method, path, body, headers);
  answers.push(JSON.stringify(reply.body), JSON.stringify([...reply.headers]));
  return { status: reply.status, code: reply.body['code'] };
}

async function payment(): Promise<string> {
  const { body } = await ask('/v1/payments', card({ gateway: 'stripe' }));
  await stack.becomes(body['id'] as string, 'captured');
  return body['id'] as string;
}

test('a card number is refused in every free field', async () => {
  const id = await payment();
  const dispute = await stack.sandbox.control<{ id: string }>('POST', '/disputes', { payment: id });
  const pay = (more: object) => ['POST', '/v1/payments', card(more)] as const;
  const rule = { name: 'r', when: [{ signal: 'amount', at_least: 1 }], points: 1, reason: APART };
  const rules = { thresholds: { review: 500, block: 800 }, rules: [rule] };
  const entry = { list: 'deny', subject: 'user', value: 'u', reason: 'r' };
  const asked: (readonly [string, string, object?])[] = [
    ...[{ note: APART }, { n: Number(DIGITS) }, { [DIGITS]: 'x' }].map((metadata) =>
      pay({ metadata }),
    ),
    pay({ customer_id: DIGITS }),
    pay({ order_id: `o_${DIGITS}` }),
    pay({ device_id: DIGITS }),
    pay({ method: { type: 'card', token: `tok_${DIGITS}` } }),
    ['POST', `/v1/payments/${id}/refunds`, { reason: APART }],
    ['POST', `/v1/payments/${id}/approve`, { reason: APART }],
    ['POST', `/v1/payments/${id}/reject`, { reason: APART }],
    ['GET', `/v1/payments?customer_id=${DIGITS}`],
    ['POST', `/v1/disputes/${dispute.id}/evidence`, { items: [], note: APART }],
    ['POST', '/v1/risk/lists', { ...entry, reason: APART }],
    ['POST', '/v1/risk/lists', { ...entry, value: DIGITS }],
    ['PUT', '/v1/risk/rules', rules],
    ['PUT', '/v1/risk/rules/shadow', rules],
    ['POST', '/v1/webhook-endpoints', { url: 'https://shop.example/', description: APART }],
    ['POST', '/v1/webhook-endpoints', { url: `https://shop.example/${DIGITS}` }],
  ];
  for (const [method, path, body] of asked) {
    const { status } = await said(method, path, body);
    expect([path, body, status]).toEqual([path, body, 422]);
  }
  expect(await said(...pay({}), keyOf({ 'Idempotency-Key': DIGITS }))).toEqual({
    ...{ status: 422, code: 'card_number_refused' },
  });
  expect((await said(...pay({}), keyOf({ 'X-Request-Id': DIGITS }))).status).toBe(202);
  expect((await said('GET', `/v1/payments/${DIGITS}`)).status).toBe(422);
  await said('GET', `/v1/webhook-events/${DIGITS}`);
  await said('GET', `/v1/${DIGITS}?${DIGITS}=${DIGITS}`);
  await said('GET', `/v1/analytics/payments?from=${DIGITS}`);
}, 30_000);

test('secrets go in', async () => {
  const { stripe, stripeWebhook, razorpay, razorpayWebhook } = secrets;
  await said('PUT', '/v1/gateways/stripe', { secret_key: stripe, webhook_secret: stripeWebhook });
  await said('PUT', '/v1/gateways/stripe', { secret_key: stripe, webhook_secret: 7 });
  await said('PUT', '/v1/gateways/razorpay', {
    ...{ key_id: 'rzp_test_attack', key_secret: razorpay, webhook_secret: razorpayWebhook },
    ...{ email: 'payments@shop.example', contact: '+919900000000' },
  });
  await stack.sandbox.control('PATCH', '/settings', { stripe: { down: 'unavailable' } });
  await said('POST', '/v1/payments', card({ customer_id: 'c_secret' }));
  await said('GET', '/v1/gateways');
  await eventually('the call was made', async () => {
    const [row] = await owner`select count(*)::int as n from effects where kind = 'charge'`;
    return (row!['n'] as number) >= 3;
  });
  await stack.sandbox.control('PATCH', '/settings', { stripe: { down: null } });
});

test('and none of it is anywhere', async () => {
  for (const path of ['/metrics', '/readyz', '/openapi.json'])
    answers.push(await (await fetch(client.url + path)).text());
  const places: Record<string, string> = { answers: answers.join('\n'), logs: stack.printed() };
  const tables = await owner<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`;
  for (const { name } of tables) {
    const rows = await owner.unsafe<{ row: string }[]>(`select x::text as row from ${name} x`);
    places[name] = rows.map(({ row }) => row).join('\n');
  }
  places['redis'] = (await redis.keys('*')).join('\n');
  for (const pid of stack.pids) places[`${pid}`] = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  expect(places['logs']).not.toBe('');
  expect(Object.values(places).filter((text) => text.includes('c_secret')).length).toBeGreaterThan(
    1,
  );
  const words = [...Object.values(secrets), stack.environment['TALLYRACE_SECRETS_KEY']!];
  for (const [place, text] of Object.entries(places)) {
    expect([place, seen.exec(text)?.[0] ?? null]).toEqual([place, null]);
    for (const word of words.flatMap((each) => [each, hex(each)]))
      expect([place, text.includes(word)]).toEqual([place, false]);
  }
});
