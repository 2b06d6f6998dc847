// Webhooks all the way: the sandbox's courier sends them late, twice and out of order, and what
// only they can tell (methods that take their time, refunds by hand, disputes, payouts) arrives in
// the payment and in the books, which in the end are the gateway's own.
import { beforeAll, describe, expect, test } from 'bun:test';
import type { GatewayName } from '../../schemas/payments.ts';
import type { Charge } from '../../src/gateways/sandbox/objects.ts';
import { type PaymentView, card, openPayments } from '../payments/payment-stack.ts';
import { eventually } from '../processes.ts';

const stack = await openPayments('webhooks_in');
const { ask, becomes, client, owner, sandbox, tenant } = stack;

beforeAll(async () => {
  const webhook = {
    ...{ secrets: ['whsec_payments'], delay_max_ms: 200, duplicate_rate: 0.3 },
    ...{ reorder_rate: 0.3, reorder_ms: 600, retry_base_ms: 100 },
  };
  const settings: Record<string, object> = {};
  for (const gateway of ['stripe', 'razorpay']) {
    const { body } = await client.get(`/v1/gateways/${gateway}`);
    const url = `${client.url}${String(body['webhook_path'])}`;
    settings[gateway] = { pending_ms: 300, webhook: { ...webhook, url } };
  }
  await sandbox.control('PATCH', '/settings', settings);
});

async function pay(gateway: GatewayName, token: string, more: object = {}): Promise<string> {
  const type = token.startsWith('pm_card') ? 'card' : 'netbanking';
  const amount = { amount: 4_999, currency: gateway === 'stripe' ? 'USD' : 'INR' };
  const body = card({ gateway, amount, method: { type, token }, ...more });
  return String((await ask('/v1/payments', body)).body['id']);
}

async function chargeOf(gateway: GatewayName, id: string): Promise<Charge> {
  const path = `/objects/${gateway}/charge?payment_id=${id}`;
  return (await sandbox.control<Charge[]>('GET', path))[0]!;
}

async function factsOf(id: string): Promise<Record<string, unknown>> {
  const [row] = await owner`select body from payments where id = ${id.slice(4)}`;
  return row!['body'] as Record<string, unknown>;
}

const shows = (id: string, holds: (payment: PaymentView) => boolean): Promise<PaymentView> =>
  eventually(`${id} is as expected`, async () => {
    const { body } = await client.get<PaymentView>(`/v1/payments/${id}`);
    return holds(body) ? body : null;
  });

describe('a method that takes its time', () => {
  test('is held by Razorpay’s webhook and captured then, or fails by it', async () => {
    const [good, bad] = await Promise.all([
      pay('razorpay', 'success@razorpay'),
      pay('razorpay', 'failure@razorpay'),
    ]);
    // It is held first, and captured as the effects process does after a minute.
    await becomes(good, 'authorized');
    await eventually('it is captured', async () => {
      await stack.sql`select system_charges_reopen(10, 10)`;
      return (await factsOf(good))['status'] === 'captured';
    });
    expect(await factsOf(good)).toMatchObject({ captured: 4_999, fee: 118 });
    await becomes(bad, 'failed');
  });

  test('is captured by Stripe’s webhook, and its fee is asked for', async () => {
    const id = await pay('stripe', 'pm_usBankAccount_success');
    await becomes(id, 'captured');
    expect(await factsOf(id)).toMatchObject({ captured: 4_999, fee: 0 });
    await eventually('the fee is known', async () => {
      await stack.sql`select system_charges_reopen(10, 10)`;
      return (await factsOf(id))['fee'] === 175;
    });
  });
});

test('a refund that was made by hand is of the payment that its reference leads to', async () => {
  const [one, other] = await Promise.all([
    pay('stripe', 'pm_card_visa'),
    pay('razorpay', 'pm_card_visa'),
  ]);
  await Promise.all([becomes(one, 'captured'), becomes(other, 'captured')]);
  const { intent } = await chargeOf('stripe', one);
  await sandbox.stripe.refunds.create({ payment_intent: intent, amount: 1_000 });
  await sandbox.razorpay.payments.refund((await chargeOf('razorpay', other)).id, { amount: 700 });
  expect(await becomes(one, 'partially_refunded')).toMatchObject({ refunded: 1_000 });
  expect(await becomes(other, 'partially_refunded')).toMatchObject({ refunded: 700 });
});

test('a refund of ours counts once, though the call and the webhook tell of it', async () => {
  const id = await pay('stripe', 'pm_card_visa');
  await becomes(id, 'captured');
  const asked = { amount: { amount: 2_000, currency: 'USD' } };
  expect((await ask(`/v1/payments/${id}/refunds`, asked)).status).toBe(200);
  await becomes(id, 'partially_refunded');
  await everythingDelivered();
  expect(await shows(id, () => true)).toMatchObject({ refunded: 2_000, refund_pending: 0 });
});

test('a refund that bounces is ours again', async () => {
  const id = await pay('stripe', 'pm_card_refundFail');
  await becomes(id, 'captured');
  await ask(`/v1/payments/${id}/refunds`, {});
  await everythingDelivered();
  await shows(id, ({ status, refunded }) => status === 'captured' && refunded === 0);
});

test('what is held and let go is no refund', async () => {
  const id = await pay('stripe', 'pm_card_visa', { capture: 'manual' });
  await becomes(id, 'authorized');
  await ask(`/v1/payments/${id}/cancel`, {});
  await becomes(id, 'cancelled');
  await everythingDelivered();
  expect(await shows(id, () => true)).toMatchObject({ status: 'cancelled', refunded: 0 });
});

describe('a dispute', () => {
  test('is opened as the payment is made, and won', async () => {
    const id = await pay('stripe', 'pm_card_createDispute');
    await becomes(id, 'disputed');
    const { disputes } = await factsOf(id);
    const [[dispute, facts]] = Object.entries(disputes as object) as [[string, object]];
    expect(facts).toMatchObject({ amount: 4_999, fee: 1_500, status: 'open' });
    const { body } = await client.get(`/v1/disputes/${dispute}`);
    expect(body).toMatchObject({ payment_id: id, status: 'open', reason: 'fraudulent' });
    expect(Date.parse(body['due_by'] as string)).toBeGreaterThan(Date.now());
    await sandbox.control('POST', `/disputes/${dispute}/won`);
    await becomes(id, 'captured');
  });

  test('is opened later, and lost', async () => {
    const id = await pay('razorpay', 'pm_card_visa');
    await becomes(id, 'captured');
    const { id: dispute } = await sandbox.control<{ id: string }>('POST', '/disputes', {
      payment: id,
      amount: 2_000,
    });
    await becomes(id, 'disputed');
    await sandbox.control('POST', `/disputes/${dispute}/lost`);
    await eventually('it is lost', async () => {
      const { disputes } = (await factsOf(id)) as { disputes: Record<string, object> };
      return Object.values(disputes).some((each) => 'status' in each && each.status === 'lost');
    });
    const { body } = await client.get(`/v1/disputes/${dispute}`);
    expect(body).toMatchObject({ gateway: 'razorpay', status: 'lost', amount: { amount: 2_000 } });
    expect(body['reason']).toBeString();
  });
});

test('what is paid out is in the bank, and the books are the gateways’ own', async () => {
  const rest = await pay('stripe', 'pm_card_visa');
  await becomes(rest, 'captured');
  await everythingDelivered();
  await sandbox.control('POST', '/payouts', {});
  await becomes(await pay('razorpay', 'pm_card_visa'), 'captured');
  await everythingDelivered();
  const lines = await sandbox.settlement();
  const sum = (rows: typeof lines): number =>
    rows.reduce((total, { net }) => total + Number(net), 0);
  for (const [gateway, currency] of [
    ['stripe', 'USD'],
    ['razorpay', 'INR'],
  ] as const) {
    const theirs = lines.filter((line) => line.gateway === gateway);
    const paidOut = theirs.filter(({ type }) => type === 'payout');
    expect(paidOut).toHaveLength(1);
    await eventually(`${gateway} owes what the books say`, async () => {
      return (await balance(`gateway:${gateway}:clearing`, currency)) === 0 - sum(theirs);
    });
    expect(await balance('payments:bank', currency)).toBe(sum(paidOut));
  }
});

test('and nothing of it was refused, dead or left waiting', async () => {
  const [row] = await owner`
    select (select count(*)::int from dead_letters) as dead,
      (select count(*)::int from deferred) as deferred,
      (select count(*)::int from conflicts) as conflicts,
      count(*) filter (where result = 'translated')::int as translated,
      count(*) filter (where result in ('unknown', 'unrelated'))::int as strange
    from webhook_events`;
  expect(row).toMatchObject({ dead: 0, deferred: 0, conflicts: 0, strange: 0 });
  expect(row!['translated']).toBeGreaterThan(20);
});

async function balance(account: string, unit: string): Promise<number> {
  const [row] = await owner`
    select balance::text from balances
    where tenant_id = ${tenant} and account = ${account} and unit = ${unit}`;
  return Number(row?.['balance'] ?? 0);
}

/** Every webhook that was to be sent has been taken, and the ledger has it and what followed. */
async function everythingDelivered(): Promise<void> {
  await eventually('every webhook is delivered', async () => {
    const counts = await sandbox.control<{ state: string }[]>('GET', '/webhooks');
    return counts.length > 0 && counts.every(({ state }) => state === 'delivered');
  });
  const told = await Promise.all(
    ['stripe', 'razorpay'].map((gateway) =>
      sandbox.control<object[]>('GET', `/objects/${gateway}/event?limit=-1`),
    ),
  );
  const expected = told.flat().length;
  await eventually('the ledger has them all', async () => {
    const [row] = await owner`
      select count(*)::int as heard,
        count(*) filter (where result = 'translated')::int as translated,
        (select count(*)::int from outcomes where event_id ~ '/(news|payout)$') as followed
      from webhook_events`;
    return row!['heard'] === expected && row!['translated'] === row!['followed'];
  });
}
