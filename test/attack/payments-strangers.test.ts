// Another tenant, with every id of ours, over every route that takes one; and with webhooks that
// its own secret signs, naming what is ours: for it nothing is there, nothing of ours changes.
import { expect, test } from 'bun:test';
import Stripe from 'stripe';
import { Client } from '../client.ts';
import { eventually } from '../processes.ts';
import { card, openPayments } from '../payments/payment-stack.ts';

const stack = await openPayments('attack_strangers');
const { ask, becomes, client, owner } = stack;
const intruder = await stack.createTenant('attack_intruder');
const stranger = new Client(client.url, intruder.key);
const signer = new Stripe('sk_test_signer');
const SECRET = 'whsec_of_the_intruder';

await stranger.put('/v1/gateways/stripe', { secret_key: 'sk_test_other', webhook_secret: SECRET });
const pathOf = async (each: Client) =>
  String((await each.get('/v1/gateways/stripe')).body['webhook_path']);

async function webhook(
  path: string,
  type: string,
  object: object,
  secret = SECRET,
): Promise<number> {
  const payload = JSON.stringify({ id: `evt_${type.replaceAll('.', '')}`, type, data: { object } });
  const signature = await signer.webhooks.generateTestHeaderStringAsync({
    ...{ payload, secret },
  });
  const headers = { 'content-type': 'application/json', 'stripe-signature': signature };
  const { status } = await fetch(client.url + path, { method: 'POST', body: payload, headers });
  return status;
}

async function held(): Promise<{ id: string; reference: string }> {
  const { body } = await ask('/v1/payments', card({ gateway: 'stripe', capture: 'manual' }));
  const seen = await becomes(body['id'] as string, 'authorized');
  return { id: seen.id, reference: seen['gateway_reference'] as string };
}

test("webhooks of one's own name nothing of another", async () => {
  const { id, reference } = await held();
  const money = { currency: 'usd', amount: 4_999 };
  const lies: [string, object][] = [
    [
      'payment_intent.succeeded',
      {
        ...money,
        id: reference,
        metadata: { payment_id: id, attempt: '1' },
        amount_received: 4_999,
      },
    ],
    [
      'payment_intent.canceled',
      { ...money, id: reference, metadata: { payment_id: id, attempt: '1' } },
    ],
    ['refund.updated', { ...money, id: 're_1', status: 'succeeded', payment_intent: reference }],
    [
      'charge.dispute.created',
      { ...money, id: 'dp_1', status: 'needs_response', payment_intent: reference },
    ],
  ];
  const [own, ours] = [await pathOf(stranger), await pathOf(client)];
  for (const [type, object] of lies) {
    expect(await webhook(own, type, object)).toBe(202);
    expect(await webhook(ours, type, object)).toBe(400);
  }
  await eventually('all of them wait for a payment that never comes', async () => {
    const [row] = await owner`
      select count(*)::int as n from deferred where tenant_id = ${intruder.id}`;
    return row!['n'] === lies.length;
  });
  expect((await client.get(`/v1/payments/${id}`)).body).toMatchObject({ status: 'authorized' });
  expect((await ask(`/v1/payments/${id}/capture`, {})).status).toBe(200);
  await becomes(id, 'captured');
});

interface Document {
  paths: Record<string, Record<string, { tags: string[]; requestBody?: RequestBody }>>;
}
interface RequestBody {
  content: Record<string, { examples?: Record<string, { value: object }> }>;
}

function exampleOf(body: RequestBody | undefined): object | undefined {
  const [content] = Object.values(body?.content ?? {});
  return content && (Object.values(content.examples ?? {})[0]?.value ?? {});
}

/** By the beginning of the path that takes it. */
async function ids(): Promise<Record<string, string>> {
  const { id, reference } = await held();
  await ask(`/v1/payments/${id}/capture`, {});
  await becomes(id, 'captured');
  const account = await pathOf(client);
  const dispute = { id: 'dp_ours', currency: 'usd', amount: 4_999, status: 'needs_response' };
  const said = { ...dispute, payment_intent: reference };
  expect(await webhook(account, 'charge.dispute.created', said, 'whsec_payments')).toBe(202);
  await becomes(id, 'disputed');
  const url = 'https://shop.example/hook';
  const endpoint = await client.post('/v1/webhook-endpoints', { url });
  const entry = { list: 'deny', subject: 'user', value: 'c_none', reason: 'none' };
  const listed = await client.post('/v1/risk/lists', entry);
  return {
    '/v1/payments/': id,
    '/v1/disputes/': dispute.id,
    '/v1/risk/lists/': String(listed.body['id']),
    '/v1/webhook-endpoints/': String(endpoint.body['id']),
    '/v1/webhook-events/': `stripe:${account.split('/').at(-1)}:evt_chargedisputecreated`,
  };
}

test("every route that takes an id says of another's that it is not there", async () => {
  const ours = await ids();
  const { paths } = (await client.get<Document>('/openapi.json')).body;
  const tried: string[] = [];
  for (const [path, operations] of Object.entries(paths))
    for (const [start, id] of Object.entries(ours)) {
      if (!path.startsWith(`${start}{`)) continue;
      const target = path
        .replace('{id}', encodeURIComponent(id))
        .replace('{delivery}', `ntc_${Bun.randomUUIDv7()}`);
      const seen = await client.get(target);
      if (path.endsWith('/{id}')) expect([path, seen.status]).toEqual([path, 200]);
      for (const [method, { requestBody }] of Object.entries(operations)) {
        const once = { 'Idempotency-Key': Bun.randomUUIDv7() };
        const body = exampleOf(requestBody);
        const { status } = await stranger.send(method.toUpperCase(), target, body, once);
        expect([method, path, status]).toEqual([method, path, 404]);
        tried.push(`${method} ${path}`);
      }
    }
  expect(tried.length).toBeGreaterThan(18);
});
