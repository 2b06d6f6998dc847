// Many at once on one payment, over two ingress processes: what is given back is never more than
// was taken, of two contrary wishes one is carried out, and one key is one payment.
import { expect, test } from 'bun:test';
import { Client, type Reply } from '../client.ts';
import { eventually } from '../processes.ts';
import { card, openPayments } from '../payments/payment-stack.ts';

const stack = await openPayments('attack_races');
const { ask, becomes, client, sandbox, tenant } = stack;
const other = await stack.startIngress();
const clients = [client, new Client(other.url, client.key)] as const;
const MINE = { gateway: 'stripe' };

async function paid(status: string, more: object = {}): Promise<string> {
  const { body } = await ask('/v1/payments', card({ ...MINE, ...more }));
  await becomes(body['id'] as string, status);
  return body['id'] as string;
}

function everywhere<T>(count: number, act: (client: Client, n: number) => Promise<T>) {
  return Promise.all(Array.from({ length: count }, (_, n) => act(clients[n % 2]!, n)));
}

function counted(replies: readonly Reply[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of replies) {
    const name = status < 300 ? String(status) : `${status} ${String(body['code'])}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('of a thousand refunds at once those succeed that the sum allows', async () => {
  const id = await paid('captured');
  const body = { amount: { amount: 500, currency: 'USD' } };
  const replies = await everywhere(1_000, (each, n) =>
    each.post(`/v1/payments/${id}/refunds`, body, { 'Idempotency-Key': `refund-${n}` }),
  );
  expect(counted(replies)).toEqual({ 200: 9, '409 amount_too_large': 991 });
  await eventually('all are known', async () => {
    const { body: seen } = await client.get(`/v1/payments/${id}`);
    return seen['refunded'] === 4_500 && seen['refund_pending'] === 0;
  });
  const lines = (await sandbox.settlement()).filter(({ payment_id: of }) => of === id);
  const back = lines.filter(({ type }) => type === 'refund').map(({ amount }) => Number(amount));
  expect(back).toEqual(Array.from({ length: 9 }, () => -500));
});

test('without an amount nothing is asked for where nothing is left', async () => {
  await sandbox.control('PATCH', '/settings', { stripe: { latency_median_ms: 300 } });
  const { body } = await ask('/v1/payments', card(MINE), { prefer: 'wait=ledger' });
  const id = body['id'] as string;
  const whole = (action: string) => ask(`/v1/payments/${id}/${action}`, {});
  const early = [await whole('refunds'), await whole('capture')];
  await sandbox.control('PATCH', '/settings', { stripe: { latency_median_ms: 0 } });
  await becomes(id, 'captured');
  const late = [await whole('capture'), await whole('refunds'), await whole('refunds')];
  expect([...early, ...late].map(({ status }) => status)).toEqual([409, 409, 409, 200, 409]);
  // What the rule would not even have read is a dead letter.
  const [row] = await stack.owner`select count(*)::int as letters from dead_letters`;
  expect(row!['letters']).toBe(0);
  expect(await becomes(id, 'refunded')).toMatchObject({ refunded: 4_999 });
});

test('of captures and cancels at once, one is carried out', async () => {
  const ids = await Promise.all(
    Array.from({ length: 5 }, () => paid('authorized', { capture: 'manual' })),
  );
  for (const id of ids) {
    const replies = await everywhere(8, async (each, n) => {
      const action = n % 4 < 2 ? 'capture' : 'cancel';
      const key = { 'Idempotency-Key': Bun.randomUUIDv7() };
      const { status } = await each.post(`/v1/payments/${id}/${action}`, {}, key);
      return { action, status };
    });
    const done = replies.filter(({ status }) => status === 200);
    expect(done).toHaveLength(1);
    await becomes(id, done[0]!.action === 'capture' ? 'captured' : 'cancelled');
  }
});

test('one key of two hundred is one payment, also when an ingress dies meanwhile', async () => {
  const again = { 'Idempotency-Key': 'of-two-hundred' };
  const pay = (each: Client) => each.post('/v1/payments', card({ customer_id: 'c_many' }), again);
  const dying = new Client((await stack.startIngress()).url, client.key);
  const third = await stack.startIngress();
  const asked = [...clients, dying, new Client(third.url, client.key)];
  const storm = Promise.allSettled(Array.from({ length: 200 }, (_, n) => pay(asked[n % 4]!)));
  await Promise.race([storm, Bun.sleep(3)]);
  await third.kill('SIGKILL');
  const seen = (await storm).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  // Whoever died in the middle held the key; it is free again after half a minute at the latest.
  const { body } = await eventually(
    'there is an answer',
    async () => {
      const reply = await pay(client);
      return reply.status === 202 ? reply : null;
    },
    45_000,
  );
  const ids = seen.filter(({ status }) => status === 202).map((reply) => reply.body['id']);
  expect(new Set([...ids, body['id']]).size).toBe(1);
  await becomes(body['id'] as string, 'captured');
  const [row] = await stack.owner`
    select count(*)::int as payments from payments
    where tenant_id = ${tenant} and customer_id = 'c_many'`;
  expect(row!['payments']).toBe(1);
  const charges = await sandbox.control<object[]>(
    'GET',
    `/objects/stripe/charge?payment_id=${String(body['id'])}`,
  );
  const others = await sandbox.control<object[]>(
    'GET',
    `/objects/razorpay/charge?payment_id=${String(body['id'])}`,
  );
  expect(charges.length + others.length).toBe(1);
}, 60_000);
