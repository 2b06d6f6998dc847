// Webhooks as they are shown: newest first, by endpoint and type, to their tenant only, with what
// was sent but without its secrets.
import { beforeAll, describe, expect, test } from 'bun:test';
import { redacted } from '../../src/http/redaction.ts';
import { openDoor } from '../http/door.ts';
import { eventually } from '../processes.ts';
import { createKey } from '../tenants.ts';

const door = await openDoor('webhook_events', { ledger: true });
const secret = 'secret_of_rzp';
const account = {
  ...{ key_id: 'rzp_test_events', key_secret: 'events_secret', webhook_secret: secret },
  ...{ email: 'payments@shop.example', contact: '+919900000000' },
};
const COUNT = 7;
const NOBODY = '00000000-0000-0000-0000-000000000000';
let path = '';
let endpoint = '';

async function send(name: string, event: string, payload: object) {
  const body = JSON.stringify({ event, payload });
  const headers = {
    'X-Razorpay-Signature': new Bun.CryptoHasher('sha256', secret).update(body).digest('hex'),
    'X-Razorpay-Event-Id': name,
    Prefer: 'wait=ledger',
  };
  return await door.call('POST', path, { key: null, body, headers });
}

interface Shown {
  id: string;
  gateway_event_id: string;
  type: string;
  result: string;
  received_at: string;
}

const list = async (query = '', key?: string) => {
  const reply = await door.call('GET', `/v1/webhook-events${query}`, key ? { key } : {});
  return { ...reply, data: (reply.body['data'] ?? []) as Shown[] };
};
const names = (rows: Shown[]): string[] => rows.map((row) => row.gateway_event_id);

beforeAll(async () => {
  const { body } = await door.call('PUT', '/v1/gateways/razorpay', { body: account });
  path = String(body['webhook_path']);
  endpoint = path.split('/').at(-1)!;
  const entity = { id: 'pay_R1', amount: 100, currency: 'INR', status: 'created', notes: [] };
  const told = { entity: { ...entity, token_id: 'token_Secret1', vpa: 'buyer@bank' } };
  await eventually('the account is known', async () => {
    return (await send('E_0', 'payment.captured', { payment: told })).status === 202;
  });
  for (let n = 1; n < COUNT; n++) await send(`E_${n}`, n === 3 ? 'a.rare' : 'a.b', {});
  await eventually('all are read', async () => (await list()).data.length === COUNT);
}, 30_000);

describe('the list', () => {
  test('is newest first, and comes in pages that miss and repeat nothing', async () => {
    const whole = (await list()).data;
    const times = whole.map((row) => row.received_at);
    expect(times).toEqual(times.toSorted().toReversed());
    const paged: Shown[] = [];
    let cursor = '';
    do {
      const reply = await list(`?limit=3${cursor && `&cursor=${cursor}`}`);
      expect(reply.data.length).toBeLessThanOrEqual(3);
      paged.push(...reply.data);
      cursor = (reply.body['next_cursor'] as string | null) ?? '';
    } while (cursor);
    expect(paged).toEqual(whole);
    expect(names(whole).toSorted()).toEqual(Array.from({ length: COUNT }, (_, n) => `E_${n}`));
  });

  test('is of one type or of one endpoint', async () => {
    expect((await list('?type=a.rare')).data).toMatchObject([
      { gateway: 'razorpay', endpoint, gateway_event_id: 'E_3', type: 'a.rare', result: 'unknown' },
    ]);
    expect((await list(`?endpoint=${endpoint}`)).data).toHaveLength(COUNT);
    expect((await list(`?endpoint=whi_${'0'.repeat(40)}`)).data).toEqual([]);
  });

  test.each([
    ['?type=A', 422],
    ['?endpoint=whi_1', 422],
    ['?limit=0', 422],
    ['?other=1', 422],
    [`?cursor=${Buffer.from('1:nonsense').toString('base64url')}`, 400],
    [`?cursor=${Buffer.from('1:2026-01-01T00:00:00.000Z/x').toString('base64url')}`, 400],
    [`?cursor=${Buffer.from(`1:2026-02-30T00:00:00.000Z/${NOBODY}`).toString('base64url')}`, 400],
  ])('%s is %p', async (query, status) => {
    expect((await list(query)).status).toBe(status);
  });
});

test('one of them is shown with what was sent, its tokens gone', async () => {
  const id = `razorpay:${endpoint}:E_0`;
  const reply = await door.call('GET', `/v1/webhook-events/${id}`);
  expect(reply.status).toBe(200);
  expect(reply.body).toMatchObject({ id, type: 'payment.captured', result: 'unrelated' });
  const { entity } = (reply.body['payload'] as { payload: { payment: { entity: object } } }).payload
    .payment;
  expect(entity).toMatchObject({ id: 'pay_R1', token_id: '[redacted]', vpa: '[redacted]' });
  expect(reply.text).not.toContain('token_Secret1');
  const journey = await door.call('GET', `/v1/events/${id}`);
  expect(journey.body).toMatchObject({ type: 'webhook.received', status: 'posted' });
  expect(journey.text).not.toContain('token_Secret1');
  expect((await door.call('GET', '/v1/webhook-events/nothing')).status).toBe(404);
});

test('a refund of a payment that nobody knows is looked for, and unrelated at last', async () => {
  const entity = { id: 'rfnd_1', amount: 5, currency: 'INR', status: 'processed', notes: [] };
  await send('E_lost', 'refund.processed', {
    refund: { entity: { ...entity, payment_id: 'p_1' } },
  });
  const journey = `/v1/events/razorpay:${endpoint}:E_lost`;
  expect((await door.call('GET', journey)).body).toMatchObject({
    status: 'deferred',
    reason: 'payment_unknown',
  });
  await eventually('it has waited long enough', async () => {
    const { data } = await list('?type=refund.processed');
    return data[0]?.result === 'unrelated';
  });
  expect((await door.call('GET', journey)).body).toMatchObject({ status: 'posted', entries: [] });
  expect(await door.stack.owner`select from dead_letters`).toHaveLength(0);
}, 30_000);

test('a stranger sees none, and without the scope nobody does', async () => {
  const theirs = await door.stack.createTenant('webhook_events_strangers');
  const id = `razorpay:${endpoint}:E_0`;
  expect((await list('', theirs.key)).data).toEqual([]);
  expect((await list(`?endpoint=${endpoint}`, theirs.key)).data).toEqual([]);
  const asked = await door.call('GET', `/v1/webhook-events/${id}`, { key: theirs.key });
  expect(asked.status).toBe(404);
  const checker = await createKey(door.stack.owner, door.tenant, ['coupons:check', 'admin']);
  expect((await list('', checker)).status).toBe(403);
  const one = await door.call('GET', `/v1/webhook-events/${id}`, { key: checker });
  expect(one.status).toBe(403);
});

test('what is shown of a payload', () => {
  expect(
    redacted({
      client_secret: 'pi_1_secret_2',
      payment_method: 'pm_1',
      source: { id: 'src_1' },
      nested: [{ access_token: 'x', fingerprint: 'y', kept: 'z' }],
      payment_method_details: { card: { last4: '4242', brand: 'visa' } },
      token: null,
      note: 'my card is 4242 4242 4242 4242',
      number: 4242424242424242,
      '4242424242424242': 1,
      amount: 4_999,
      captured: true,
    }),
  ).toEqual({
    client_secret: '[redacted]',
    payment_method: '[redacted]',
    source: '[redacted]',
    nested: [{ access_token: '[redacted]', fingerprint: '[redacted]', kept: 'z' }],
    payment_method_details: { card: { last4: '4242', brand: 'visa' } },
    token: null,
    note: '[redacted]',
    number: '[redacted]',
    '[redacted]': 1,
    amount: 4_999,
    captured: true,
  });
});
