// Disputes as a shop meets them: listed with their deadline, answered once over HTTP, handed in at
// the gateway by a process of its own, reminded of, decided; and what is refused leaves nothing.
import { afterAll, expect, test } from 'bun:test';
import type { Dispute as SandboxDispute } from '../../src/gateways/sandbox/objects.ts';
import { Client } from '../client.ts';
import { Engine } from '../engine.ts';
import { card, openPayments } from '../payments/payment-stack.ts';
import { eventually } from '../processes.ts';

const stack = await openPayments('disputes_http');
const { ask, becomes, client, createTenant, owner, sandbox, tenant } = stack;
const engine = await Engine.open(stack, tenant, 'payments');
afterAll(() => engine.close());

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

interface View {
  id: string;
  payment_id: string;
  status: string;
  evidence_status: string;
  due_by: string | null;
  evidence: { id: string; status: string; detail: string | null; submitted_by: string }[];
}

let told = 0;
/** As a webhook of the gateway brings it. */
async function tell(payment_id: string, news: string, more: object): Promise<void> {
  const from = { gateway: 'stripe', attempt: 1, reference: 'pi_1' };
  const data = { payment_id, news, ...from, amount: 4_999, ...more };
  await engine.append([{ id: `told:${++told}`, type: 'payment.reported', data }]);
}

/** A payment whose buyer disputes it: the sandbox knows it, and we have been told. */
async function disputed(more: object = {}): Promise<{ id: string; payment: string }> {
  const method = { type: 'card', token: 'pm_card_createDispute' };
  const { body } = await ask('/v1/payments', card({ gateway: 'stripe', method }));
  const payment = body['id'] as string;
  await becomes(payment, 'captured');
  const [charge] = await sandbox.control<{ id: string }[]>(
    'GET',
    `/objects/stripe/charge?payment_id=${payment}`,
  );
  const all = await sandbox.control<SandboxDispute[]>('GET', '/objects/stripe/dispute');
  const { id, fee, reason, amount } = all.find((each) => each.charge === charge!.id)!;
  const due = { due_by: inDays(7), dispute_reason: reason };
  await tell(payment, 'dispute_opened', { subject: id, amount, fee, ...due, ...more });
  await becomes(payment, 'disputed');
  return { id, payment };
}

const items = [
  { type: 'shipping', reference: 'DHL 00340434', note: 'Signed for.' },
  { type: 'receipt', reference: 'file_receipt' },
];

async function turns(id: string, evidence: string): Promise<View> {
  return await eventually(`evidence of ${id} is ${evidence}`, async () => {
    const { body } = await client.get<View & Record<string, unknown>>(`/v1/disputes/${id}`);
    return body.evidence_status === evidence ? body : null;
  });
}

test('is listed, answered once, handed in, and won', async () => {
  const { id, payment } = await disputed();
  const listed = await client.get<{ data: View[] }>(
    '/v1/disputes?status=open&evidence_status=none',
  );
  expect(listed.body.data).toMatchObject([
    { id, payment_id: payment, gateway: 'stripe', reason: 'fraudulent', status: 'open' },
  ]);
  const answered = await ask(`/v1/disputes/${id}/evidence`, { items, note: 'Delivered.' });
  expect(answered.status).toBe(200);
  expect(answered.body['evidence_status']).toBeOneOf(['pending', 'submitted']);
  const again = await ask(`/v1/disputes/${id}/evidence`, { items });
  expect(again.body).toMatchObject({ status: 409, code: 'already_requested' });
  const { evidence } = await turns(id, 'submitted');
  expect(evidence).toMatchObject([{ status: 'submitted', items, note: 'Delivered.' }]);
  const all = await sandbox.control<SandboxDispute[]>('GET', '/objects/stripe/dispute');
  expect(all.find((each) => each.id === id)).toMatchObject({
    status: 'under_review',
    submissions: 1,
    evidence: { receipt: 'file_receipt', shipping_tracking_number: 'DHL 00340434' },
  });
  await tell(payment, 'dispute_won', { subject: id });
  await becomes(payment, 'captured');
  expect(
    (await client.get<View & Record<string, unknown>>(`/v1/disputes/${id}`)).body,
  ).toMatchObject({
    status: 'won',
    fee: 1_500,
  });
  const late = await ask(`/v1/disputes/${id}/evidence`, { items });
  expect(late.body).toMatchObject({ status: 409, code: 'wrong_status' });
  const audit = await owner`select actor, action from audit_log
    where subject = ${payment} and action like 'evidence.%' order by id`;
  expect([...audit]).toEqual([
    { actor: expect.stringMatching(/^key:/), action: 'evidence.submitted' },
    { actor: 'gateway:stripe', action: 'evidence.reported' },
  ]);
}, 30_000);

test('one key is one answer; after a refusal by the gateway another may follow', async () => {
  const { id } = await disputed();
  const [open] = await owner`select gateway from disputes where id = ${id}`;
  expect(open).toEqual({ gateway: 'stripe' });
  // Decided at the gateway, and we have not been told yet.
  await sandbox.control('POST', `/disputes/${id}/lost`);
  const key = { 'Idempotency-Key': 'disputes-once' };
  const one = await ask(`/v1/disputes/${id}/evidence`, { items }, key);
  const two = await ask(`/v1/disputes/${id}/evidence`, { items }, key);
  expect(two.body).toEqual(one.body);
  const refused = await turns(id, 'refused');
  expect(refused.evidence).toHaveLength(1);
  expect(refused.evidence[0]!.detail).toStartWith('refused: 400');
  expect((await ask(`/v1/disputes/${id}/evidence`, { items })).status).toBe(200);
}, 30_000);

test('one that is due within two days is reminded of, once, and counted', async () => {
  const { id } = await disputed({ due_by: inDays(1) });
  // The process looks once a minute; a new one looks at once.
  const effects = await stack.startEffects();
  await eventually('it is reminded of', async () => {
    const [row] =
      await owner`select reminded_of = due_by as reminded from disputes where id = ${id}`;
    return row!['reminded'] === true;
  });
  const [row] =
    await owner`select count(*)::int as n from audit_log where action = 'dispute.reminded'`;
  expect(row).toEqual({ n: 1 });
  const [state] = await stack.sql`select * from system_disputes_state()`;
  expect(Number(state!['unanswered'])).toBeGreaterThan(0);
  expect(Math.abs(Number(state!['next_due_s']) * 1_000 - Date.parse(inDays(1)))).toBeLessThan(
    60_000,
  );
  await effects.kill('SIGTERM');
}, 30_000);

test('lists are filtered, and go on where the page ended', async () => {
  // Whole seconds too, which the database writes without a fraction.
  await owner`update disputes set created_at = date_trunc('second', created_at)
    where id = (select max(id) from disputes)`;
  const seen: string[] = [];
  let cursor = '';
  do {
    const { body } = await client.get<{ data: View[]; next_cursor: string | null }>(
      `/v1/disputes?limit=1${cursor}`,
    );
    seen.push(...body.data.map(({ id }) => id));
    cursor = body.next_cursor === null ? '' : `&cursor=${body.next_cursor}`;
  } while (cursor !== '');
  expect(new Set(seen).size).toBe(seen.length);
  const [row] = await owner`select count(*)::int as n from disputes`;
  expect(seen).toHaveLength(row!['n'] as number);
  // Of other lists, and made up.
  for (const end of [
    '0',
    'c_1',
    '2026-02-30T00:00:00Z/dp_1',
    '0000-01-01T00:00:00Z/dp_1',
    '2026-02-03T00:00:00Z',
    '/dp_1',
  ])
    for (const list of ['/v1/disputes?', '/v1/payments?customer_id=c_1&']) {
      const foreign = Buffer.from(`1:${end}`).toString('base64url');
      expect([list, end, (await client.get(`${list}cursor=${foreign}`)).status]).toEqual([
        list,
        end,
        400,
      ]);
    }
  expect((await client.get('/v1/disputes?due_before=0000-01-01T00:00:00Z')).status).toBe(422);
  const count = async (query: string) =>
    (await client.get<{ data: View[] }>(`/v1/disputes?${query}`)).body.data.length;
  expect(await count('status=won')).toBe(1);
  expect(await count('gateway=razorpay')).toBe(0);
  expect(await count('customer_id=c_1')).toBe(seen.length);
  expect(await count('customer_id=c_2')).toBe(0);
  expect(await count(`status=open&due_before=${inDays(2)}`)).toBe(1);
});

test('strangers, keys without scope and bad answers are refused, and leave nothing', async () => {
  const { id } = await disputed();
  const url = client.url;
  const stranger = new Client(url, (await createTenant('disputes_stranger')).key);
  const scoped = new Client(url, (await createTenant('disputes_scoped', ['coupons:check'])).key);
  const path = `/v1/disputes/${id}/evidence`;
  const headers = () => ({ 'Idempotency-Key': Bun.randomUUIDv7() });
  expect((await stranger.get(`/v1/disputes/${id}`)).status).toBe(404);
  expect((await stranger.get('/v1/disputes')).body['data']).toEqual([]);
  expect((await stranger.post(path, { items }, headers())).status).toBe(404);
  expect((await scoped.get('/v1/disputes')).status).toBe(403);
  expect((await scoped.post(path, { items }, headers())).status).toBe(403);
  const bad = [
    {},
    { items: [] },
    { items: [{ type: 'photo', reference: 'x' }] },
    { items: [{ type: 'other', reference: '' }] },
    { items: Array.from({ length: 21 }, () => items[0]) },
    { items, note: '' },
    { items, file: 'data:' },
    { items: [{ type: 'other', reference: '4242 4242 4242 4242' }] },
    { items, note: 'Card 4242424242424242 was used.' },
  ];
  for (const body of bad) {
    const reply = await client.post(path, body, headers());
    expect([body, reply.status]).toEqual([body, 422]);
    expect(JSON.stringify(reply.body)).not.toContain('4242');
  }
  expect((await client.post(path, { items })).status).toBe(400);
  const [row] =
    await owner`select count(*)::int as n from dispute_evidence where dispute_id = ${id}`;
  expect(row).toEqual({ n: 0 });
}, 30_000);

test('rows follow the payments: verify compares them', async () => {
  const wrong = () => stack.sql`select * from system_verify_disputes('2000-01-01', '2100-01-01')`;
  expect([...(await wrong())]).toEqual([]);
  await owner`update disputes set status = 'lost' where status = 'won'`;
  expect(await wrong()).toHaveLength(1);
  const found = await stack.run('verify', '--json');
  expect(JSON.parse(found.stdout)).toMatchObject({ found: { disputes: 1 } });
}, 30_000);
