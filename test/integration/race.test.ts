// The race for the last use: 3,000 customers, two ingress processes, a coupon with 100 uses. The
// limit is exact at the ingress and in the ledger, and releases give back exactly as many.
import { expect, test } from 'bun:test';
import { Client, type Reply } from '../client.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const CODE = 'RACE100';
const LIMIT = 100;
const CUSTOMERS = 3_000;

interface Redemption {
  id: string;
  status: string;
  position: string;
  code?: string;
}

const stack = await openStack('race', async (opened) => {
  const { key } = await opened.createTenant('race');
  const ingresses = await Promise.all([opened.startIngress(), opened.startIngress()]);
  await opened.startWorker();
  return { clients: ingresses.map(({ url }) => new Client(url, key)) };
});
const { clients } = stack;

/** As callers are told to: what is unknown (503) is asked again under its key. */
async function redeem(n: number, round: string): Promise<Reply<Redemption>> {
  for (;;) {
    const reply = await clients[n % 2]!.post<Redemption>(
      '/v1/redemptions',
      {
        code: CODE,
        customer_id: `c_${round}_${n}`,
        order: { id: `o_${round}_${n}`, total: { amount: 5_000, currency: 'USD' } },
      },
      { 'idempotency-key': `${round}-${n}` },
    );
    if (reply.status !== 503) return reply;
    await Bun.sleep(200);
  }
}

function race(customers: number, round: string): Promise<Reply<Redemption>[]> {
  return Promise.all(Array.from({ length: customers }, (_, n) => redeem(n, round)));
}

function tally(replies: readonly Reply<Redemption>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of replies) {
    const answer = status === 409 ? `409 ${body.code}` : String(status);
    counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

/** Once every position is settled; the balance is then the ledger's own. */
async function ledgerUses(): Promise<number> {
  const open = await eventually('everything is settled', async () => {
    const report = await stack.run('verify', '--json');
    const { pending, ok } = JSON.parse(report.stdout) as { pending: number; ok: boolean };
    return ok && pending === 0;
  });
  expect(open).toBe(true);
  const [row] = await stack.owner`
    select balance from balances where account = ${`coupon:${CODE}:uses`} and unit = 'uses'`;
  return Number(row!['balance']);
}

let held: Redemption[] = [];

test('of 3,000 concurrent redemptions exactly 100 succeed', async () => {
  const terms = { kind: 'percent', percent_bp: 1_000, limits: { global: LIMIT } };
  expect((await clients[0]!.put(`/v1/coupons/${CODE}`, terms)).status).toBe(201);
  for (const client of clients)
    await eventually('the coupon is known', async () => {
      const order = { total: { amount: 5_000, currency: 'USD' } };
      const reply = await client.post('/v1/coupons/validate', { code: CODE, order });
      return reply.body['valid'] === true;
    });
  const replies = await race(CUSTOMERS, 'first');
  expect(tally(replies)).toEqual({ 201: LIMIT, '409 limit_reached': CUSTOMERS - LIMIT });
  held = replies.filter(({ status }) => status === 201).map(({ body }) => body);
  expect(new Set(held.map(({ id }) => id)).size).toBe(LIMIT);
}, 60_000);

test('the ledger says 100', async () => {
  expect(await ledgerUses()).toBe(LIMIT);
}, 30_000);

test('an order that comes again, under a new key and elsewhere, holds what it held', async () => {
  const winner = held[0]!;
  const journey = await clients[0]!.get<{ customer_id: string; order_id: string }>(
    `/v1/redemptions/${winner.id}`,
  );
  const again = await clients[1]!.post<Redemption>(
    '/v1/redemptions',
    {
      code: CODE,
      customer_id: journey.body.customer_id,
      order: { id: journey.body.order_id, total: { amount: 5_000, currency: 'USD' } },
    },
    { 'idempotency-key': 'another' },
  );
  expect(again.status).toBe(201);
  expect(again.body.id).toBe(winner.id);
});

test('releases give back exactly as many, however often they are repeated', async () => {
  const released = held.splice(0, 37);
  const twice = [...released, ...released];
  const replies = await Promise.all(
    twice.map(({ id }, n) => clients[n % 2]!.post(`/v1/redemptions/${id}/release`, {})),
  );
  expect(replies.map(({ status }) => status)).toEqual(twice.map(() => 200));
  expect(await ledgerUses()).toBe(LIMIT - released.length);

  const second = await race(500, 'second');
  expect(tally(second)).toEqual({
    201: released.length,
    '409 limit_reached': 500 - released.length,
  });
  expect(await ledgerUses()).toBe(LIMIT);
}, 60_000);

test('committed uses stay used', async () => {
  const replies = await Promise.all(
    held.map(({ id }, n) => clients[n % 2]!.post<Redemption>(`/v1/redemptions/${id}/commit`, {})),
  );
  expect(replies.every(({ status, body }) => status === 200 && body.status === 'committed')).toBe(
    true,
  );
  expect(await ledgerUses()).toBe(LIMIT);
  const coupon = await clients[0]!.get<{ usage: { reserved: number; redeemed: number } }>(
    `/v1/coupons/${CODE}`,
  );
  const { reserved, redeemed } = coupon.body.usage;
  expect({ reserved, redeemed }).toEqual({ reserved: LIMIT - held.length, redeemed: held.length });
}, 60_000);
