// Webhooks at the door, over HTTP: what is signed is kept and answered, and nothing else is; who
// sends something else is not told what was wrong with it.
import { beforeAll, describe, expect, test } from 'bun:test';
import Stripe from 'stripe';
import { eventJourney } from '../../src/store/journey.ts';
import { type Call, type Reply, openDoor } from '../http/door.ts';
import { eventually } from '../processes.ts';
import { createKey } from '../tenants.ts';

const door = await openDoor('webhooks_door', { ledger: true });
const stripe = new Stripe('sk_test_door');
const secrets = { old: 'whsec_before_it', now: 'whsec_of_now', razorpay: 'secret_of_rzp' };
const razorpayAccount = {
  ...{ key_id: 'rzp_test_door', key_secret: 'door_secret', webhook_secret: secrets.razorpay },
  ...{ email: 'payments@shop.example', contact: '+919900000000' },
};
const paths = { stripe: '', razorpay: '' };

async function put(name: 'stripe' | 'razorpay', account: object): Promise<void> {
  const { body } = await door.call('PUT', `/v1/gateways/${name}`, { body: account });
  paths[name] = String(body['webhook_path']);
}

beforeAll(async () => {
  const secret_key = 'sk_test_door1234';
  await put('stripe', { secret_key, webhook_secret: secrets.old });
  await put('stripe', { secret_key, webhook_secret: secrets.now });
  await put('razorpay', razorpayAccount);
  await eventually('both accounts are known', async () => {
    const [one, two] = await Promise.all([sendStripe(note()), sendRazorpay(note())]);
    return one.status === 202 && two.status === 202;
  });
}, 30_000);

let notes = 0;
const note = (more: object = {}): string => JSON.stringify({ id: `evt_n${++notes}`, ...more });

async function sendStripe(text: string, options: Call & { secret?: string; at?: number } = {}) {
  const { secret = secrets.now, at = Math.floor(Date.now() / 1_000), headers = {} } = options;
  const signature = await stripe.webhooks.generateTestHeaderStringAsync({
    ...{ payload: text, secret, timestamp: at },
  });
  return await post(paths.stripe, text, { 'Stripe-Signature': signature, ...headers });
}

const razorpaySignature = (text: string): string =>
  new Bun.CryptoHasher('sha256', secrets.razorpay).update(text).digest('hex');

async function sendRazorpay(text: string, headers: Record<string, string> = {}): Promise<Reply> {
  const signature = razorpaySignature(text);
  return await post(paths.razorpay, text, { 'X-Razorpay-Signature': signature, ...headers });
}

function post(path: string, body: string, headers: Record<string, string>): Promise<Reply> {
  const all = { 'Content-Type': 'application/json; charset=utf-8', ...headers };
  return door.call('POST', path, { key: null, body, headers: all });
}

const endpointOf = (path: string): string => path.split('/').at(-1)!;
const idOf = (gateway: 'stripe' | 'razorpay', id: string): string =>
  `${gateway}:${endpointOf(paths[gateway])}:${id}`;

async function settled(id: string) {
  return await eventually(`${id} is settled`, async () => {
    const journey = await eventJourney(door.stack.sql, door.tenant, id);
    return journey && journey.status !== 'accepted' ? journey : null;
  });
}

describe('what is signed', () => {
  test('is kept, with a position, and read by a worker', async () => {
    const reply = await sendStripe(note({ id: 'evt_kept', type: 'a.b', data: { object: {} } }));
    expect(reply).toMatchObject({ status: 202, body: { status: 'accepted' } });
    expect(reply.body['position']).toMatch(/^webhooks\.\d\.\d+$/);
    expect(await settled(idOf('stripe', 'evt_kept'))).toMatchObject({ status: 'posted' });
  });

  test('is answered after the ledger when that is preferred', async () => {
    const text = note({ id: 'evt_waits', type: 'a.b', data: { object: {} } });
    const reply = await sendStripe(text, { headers: { Prefer: 'wait=ledger' } });
    expect(reply.headers.get('preference-applied')).toBe('wait=ledger');
  });

  test('holds with the secret before the last one, for a day', async () => {
    const text = note({ type: 'a.b', data: { object: {} } });
    expect((await sendStripe(text, { secret: secrets.old })).status).toBe(202);
  });

  test('and comes again, has one outcome: at once, elsewhere, with other counts', async () => {
    const event = { id: 'evt_twice', type: 'a.b', data: { object: {} } };
    const text = JSON.stringify({ ...event, pending_webhooks: 2 });
    const first = await sendStripe(text);
    expect(await sendStripe(JSON.stringify({ ...event, pending_webhooks: 1 }))).toMatchObject({
      status: 202,
      body: { status: 'duplicate', position: first.body['position'] },
    });
    const other = await door.openAnother();
    const signature = await stripe.webhooks.generateTestHeaderStringAsync({
      ...{ payload: text, secret: secrets.now },
    });
    const headers = { 'Content-Type': 'application/json', 'Stripe-Signature': signature };
    const again = await other.call('POST', paths.stripe, { key: null, body: text, headers });
    expect(again).toMatchObject({ status: 202, body: { status: 'accepted' } });
    await other.stop();
    const { status, conflicts } = await settled(idOf('stripe', 'evt_twice'));
    expect({ status, conflicts }).toEqual({ status: 'posted', conflicts: [] });
  });

  test('of Razorpay is known by its header, and by its content where it has none', async () => {
    const text = JSON.stringify({ event: 'a.b', payload: {} });
    const one = await sendRazorpay(text, { 'X-Razorpay-Event-Id': 'E_1' });
    const two = await sendRazorpay(text, { 'X-Razorpay-Event-Id': 'E_1' });
    expect([one.body['status'], two.body['status']]).toEqual(['accepted', 'duplicate']);
    expect(await settled(idOf('razorpay', 'E_1'))).toMatchObject({ status: 'posted' });
    const nameless = await sendRazorpay(text, { 'X-Razorpay-Event-Id': 'no name/at all' });
    expect(nameless.body['status']).toBe('accepted');
    expect((await sendRazorpay(text)).body['status']).toBe('duplicate');
    const hash = Bun.SHA256.hash(text, 'hex');
    expect(await settled(idOf('razorpay', `sha256:${hash}`))).toMatchObject({ status: 'posted' });
  });

  test('and cannot be read is a dead letter that has it', async () => {
    const text = `not JSON ${note()}`;
    expect((await sendStripe(text)).status).toBe(202);
    const id = idOf('stripe', `sha256:${Bun.SHA256.hash(text, 'hex')}`);
    expect(await settled(id)).toMatchObject({ status: 'dead', reason: 'rule_failed' });
    const [row] = await door.stack.owner`select body from dead_letters where event_id = ${id}`;
    expect((row!['body'] as Buffer).toString()).toContain(text);
  });

  test('may be as large as it is allowed to be, in chunks too, and not larger', async () => {
    const sized = (bytes: number): string => {
      const empty = JSON.stringify({ id: 'evt_large', type: 'a.b', data: { object: { pad: '' } } });
      return empty.replace('""', `"${'x'.repeat(bytes - empty.length)}"`);
    };
    expect((await sendStripe(sized(256 * 1_024))).status).toBe(202);
    expect((await sendStripe(sized(256 * 1_024 + 1))).status).toBe(413);
    const text = sized(100_000);
    const signature = razorpaySignature(text);
    const chunks = new Blob([text]).stream();
    const answer = await fetch(door.url + paths.razorpay, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Razorpay-Signature': signature },
      body: chunks,
    });
    expect(answer.status).toBe(202);
  });
});

test('what is not signed as it should be is refused alike, and leaves no trace', async () => {
  const text = note({ type: 'a.b', data: { object: {} } });
  const now = Math.floor(Date.now() / 1_000);
  const good = { 'X-Razorpay-Signature': razorpaySignature(text) };
  const nobody = `/v1/webhooks/razorpay/whi_${'0'.repeat(40)}`;
  const crossed = paths.razorpay.replace('razorpay', 'stripe');
  const replies = await Promise.all([
    sendStripe(text, { secret: 'whsec_of_nobody' }),
    sendStripe(text, { secret: secrets.razorpay }),
    sendStripe(text, { at: now - 301 }),
    sendStripe(text, { headers: { 'Stripe-Signature': '' } }),
    sendStripe(text, { headers: { 'Stripe-Signature': 't=1' } }),
    post(paths.stripe, text, {}),
    post(paths.stripe, text, good),
    post(paths.razorpay, text, {}),
    post(paths.razorpay, `${text} `, good),
    post(nobody, text, good),
    post(crossed, text, good),
  ]);
  for (const { body, status } of replies) {
    const { request_id: _, ...rest } = body;
    expect(status).toBe(400);
    expect(rest as object).toEqual({
      type: '/problems/webhook_refused',
      title: 'The webhook was not taken',
      status: 400,
      code: 'webhook_refused',
      detail: 'The address or the signature is not right.',
    });
  }
  expect((await post('/v1/webhooks/razorpay/whi_1', text, good)).status).toBe(400);
  expect((await post('/v1/webhooks/paypal/whi_1', text, good)).status).toBe(404);
  const plain = await door.call('POST', paths.razorpay, {
    ...{ key: null, body: text, headers: { 'Content-Type': 'text/plain', ...good } },
  });
  expect(plain.status).toBe(415);
  // Neither in the ledger nor on its way.
  const { id } = JSON.parse(text) as { id: string };
  const hash = `sha256:${Bun.SHA256.hash(text, 'hex')}`;
  const traces = await Promise.all(
    [idOf('stripe', id), idOf('stripe', hash), idOf('razorpay', hash)].map((each) =>
      door.call('GET', `/v1/events/${encodeURIComponent(each)}`),
    ),
  );
  expect(traces.map(({ status }) => status)).toEqual([404, 404, 404]);
});

test('a stranger is refused before the body has come', async () => {
  const { hostname, port } = new URL(door.url);
  const answered = Promise.withResolvers<string>();
  const socket = await Bun.connect({
    ...{ hostname, port: Number(port) },
    socket: {
      data: (_, bytes) => answered.resolve(bytes.toString()),
      close: () => answered.resolve('closed'),
    },
  });
  socket.write(
    `POST /v1/webhooks/stripe/whi_${'0'.repeat(40)} HTTP/1.1\r\nHost: x\r\n` +
      'Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{',
  );
  expect(await answered.promise).toStartWith('HTTP/1.1 400');
  socket.end();
});

test('a signed webhook is the tenant of its endpoint, whatever key comes with it', async () => {
  const theirs = await door.stack.createTenant('webhooks_strangers');
  const text = note({ id: 'evt_whose', type: 'a.b', data: { object: {} } });
  await sendStripe(text, { headers: { Authorization: `Bearer ${theirs.key}` } });
  await settled(idOf('stripe', 'evt_whose'));
  const rows = await door.stack.owner`
    select tenant_id from webhook_events where gateway_event_id = 'evt_whose'`;
  expect(rows.map((row) => row['tenant_id'] as number)).toEqual([door.tenant]);
});

test('the limit of an endpoint is the tenant’s own, and only the signed take from it', async () => {
  const quotas = { key: { quota: 3, window_s: 3_600 } };
  await door.call('PUT', '/v1/limits/webhooks', { body: quotas });
  await eventually('the limit holds', async () => {
    const reply = await sendRazorpay(note());
    return reply.status === 429 && Number(reply.headers.get('retry-after')) > 0;
  });
  const unsigned = await post(paths.razorpay, note(), { 'X-Razorpay-Signature': 'f'.repeat(64) });
  expect(unsigned.status).toBe(400);
  // Another endpoint has a bucket of its own.
  expect((await sendStripe(note())).status).toBe(202);
  await door.call('PUT', '/v1/limits/webhooks', { body: null });
}, 20_000);

test('what came is counted by gateway, kind and outcome', async () => {
  await sendStripe(note({ id: 'evt_c1', type: 'payment_intent.created', data: { object: {} } }));
  const { text } = await door.call('GET', '/metrics', { key: null });
  const counts = new Map(
    [...text.matchAll(/^tallyrace_webhooks_in_total\{(.*)\} (\d+)$/gm)].map((found) => [
      ['gateway', 'type', 'outcome']
        .map((name) => new RegExp(`\\b${name}="(\\w+)"`).exec(found[1]!)![1])
        .join(' '),
      Number(found[2]),
    ]),
  );
  for (const name of [
    'stripe known accepted',
    'stripe unknown accepted',
    'stripe unknown duplicate',
    'stripe unknown bad_signature',
    'stripe unknown unknown_endpoint',
    'razorpay unknown limited',
    'razorpay unknown unknown_endpoint',
  ])
    expect([name, counts.get(name) ?? 0]).not.toEqual([name, 0]);
});

test('an account that is deleted takes no more webhooks', async () => {
  const admin = await createKey(door.stack.owner, door.tenant, ['admin']);
  await door.call('DELETE', '/v1/gateways/razorpay', { key: admin });
  await eventually('it is gone', async () => (await sendRazorpay(note())).status === 400);
});
