// The sandbox speaks Razorpay's API: the official client works against it as against the real one.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import Razorpay from 'razorpay';
import { type World, listener, refusal, sandboxWorld, SECRET, until } from './sandbox-world.ts';

let world: World;
let razorpay: Razorpay;

beforeAll(async () => {
  world = await sandboxWorld();
  razorpay = world.razorpay;
});
afterAll(() => world.stop());

let orders = 0;

interface ReconLine {
  type: string;
  credit: number;
  debit: number;
  fee: number;
}

async function ordered(capture: 'automatic' | 'manual' = 'automatic') {
  return await razorpay.orders.create({
    amount: 50_000,
    currency: 'INR',
    receipt: `receipt-${++orders}`,
    notes: { payment_id: `pay_${orders}` },
    payment: {
      capture,
      capture_options: {
        automatic_expiry_period: 12,
        manual_expiry_period: 7_200,
        refund_speed: 'normal',
      },
    },
  });
}

async function charged(orderId: string, token = 'token_success') {
  return await razorpay.payments.createRecurringPayment({
    amount: 50_000,
    currency: 'INR',
    order_id: orderId,
    customer_id: 'cust_1',
    email: 'buyer@example.com',
    contact: '9000090000',
    token,
    recurring: '1',
    notes: { attempt: '1' },
  });
}

async function captured(token?: string): Promise<{ id: string; order: string }> {
  const order = await ordered();
  const { razorpay_payment_id } = await charged(order.id, token);
  return { id: razorpay_payment_id!, order: order.id };
}

describe('orders and payments', () => {
  test('an order is charged by a token and captured by itself, with fee and tax', async () => {
    const order = await ordered();
    expect(order).toMatchObject({ status: 'created', amount_due: 50_000, attempts: 0 });
    const made = await charged(order.id);
    const payment = await razorpay.payments.fetch(made.razorpay_payment_id!);
    // 2 %, and 18 % tax on that.
    expect(payment).toMatchObject({ status: 'captured', fee: 1_180, tax: 180, captured: true });
    expect(payment.notes).toEqual({ payment_id: `pay_${orders}`, attempt: '1' });
    expect(await razorpay.orders.fetch(order.id)).toMatchObject({
      status: 'paid',
      amount_paid: 50_000,
    });
    const proof = new Bun.CryptoHasher('sha256', 'sandbox')
      .update(`${order.id}|${payment.id}`)
      .digest('hex');
    expect(made.razorpay_signature).toBe(proof);
  });

  test('an order is found by its receipt, its payments by the order', async () => {
    const order = await ordered();
    await refusal(charged(order.id, 'token_card_declined'));
    await charged(order.id);
    const found = await razorpay.orders.all({ receipt: order.receipt! });
    expect(found.items.map(({ id }) => id)).toEqual([order.id]);
    const { items } = await razorpay.orders.fetchPayments(order.id);
    expect(items.map(({ status }) => status)).toEqual(['captured', 'failed']);
    const paid = await refusal(charged(order.id));
    expect(paid).toMatchObject({ statusCode: 400 });
  });

  test('manual capture: the whole amount, once', async () => {
    const order = await ordered('manual');
    const { razorpay_payment_id: id } = await charged(order.id);
    expect(await razorpay.payments.fetch(id!)).toMatchObject({ status: 'authorized', fee: null });
    const part = await refusal(razorpay.payments.capture(id!, 40_000, 'INR'));
    expect(part['error']).toMatchObject({
      description: 'Capture amount must be equal to the amount authorized',
    });
    const early = await refusal(razorpay.payments.refund(id!, { amount: 1 }));
    expect(early).toMatchObject({ statusCode: 400 });
    const payment = await razorpay.payments.capture(id!, 50_000, 'INR');
    expect(payment).toMatchObject({ status: 'captured', fee: 1_180 });
    const again = await refusal(razorpay.payments.capture(id!, 50_000, 'INR'));
    expect(again['error']).toMatchObject({
      description: 'This payment has already been captured',
    });
  });

  test.each([
    ['token_card_declined', 'card_declined'],
    ['token_insufficient_funds', 'insufficient_funds'],
    ['token_card_expired', 'card_expired'],
    ['token_incorrect_cvv', 'incorrect_cvv'],
    ['token_gateway_error', 'gateway_technical_error'],
    ['token_risk', 'payment_risk_check_failed'],
    ['pm_card_visa_chargeDeclined', 'card_declined'],
  ])('%s is declined', async (token, reason) => {
    const order = await ordered();
    const declined = await refusal(charged(order.id, token));
    expect(declined).toMatchObject({
      statusCode: 400,
      error: { code: 'BAD_REQUEST_ERROR', reason },
    });
    const { metadata } = declined['error'] as { metadata: { payment_id: string } };
    const payment = await razorpay.payments.fetch(metadata.payment_id);
    expect(payment).toMatchObject({ status: 'failed', error_reason: reason, order_id: order.id });
    expect(await razorpay.orders.fetch(order.id)).toMatchObject({ status: 'attempted' });
  });

  test.each([
    ['success@razorpay', 'captured'],
    ['failure@razorpay', 'failed'],
  ])('%s is decided later: %s', async (vpa, status) => {
    await world.control('PATCH', '/settings', { razorpay: { pending_ms: 20 } });
    const order = await ordered();
    const made: { razorpay_payment_id: string } = await razorpay.payments.createUpi({
      amount: 50_000,
      currency: 'INR',
      order_id: order.id,
      customer_id: 'cust_1',
      email: 'buyer@example.com',
      contact: '9000090000',
      save: false,
      ip: '127.0.0.1',
      referer: 'http',
      user_agent: 'test',
      method: 'upi',
      notes: {},
      upi: { flow: 'collect', vpa, expiry_time: 5 },
    });
    const id = made.razorpay_payment_id;
    await until(async () => (await razorpay.payments.fetch(id)).status === status);
  });

  test('what is wrong is refused as Razorpay refuses it, and leaves nothing', async () => {
    const before = (await razorpay.orders.all({ count: 100 })).count;
    const refused = async (params: object, description: string): Promise<void> => {
      const whole = { amount: 100, currency: 'INR', ...params };
      const error = await refusal(razorpay.orders.create(whole));
      expect(error).toMatchObject({ statusCode: 400, error: { description } });
    };
    await refused({ amount: 1.5 }, 'The amount must be an integer.');
    await refused({ currency: 'rupee' }, 'Currency is not supported');
    const long = 'The receipt may not be greater than 40 characters.';
    await refused({ receipt: 'x'.repeat(41) }, long);
    expect((await razorpay.orders.all({ count: 100 })).count).toBe(before);
    const unknown = await refusal(razorpay.payments.fetch('pay_none'));
    expect(unknown['error']).toMatchObject({ description: 'The id provided does not exist' });
    const response = await fetch(`${world.urls.razorpay}/v1/orders`);
    expect(response.status).toBe(401);
  });
});

describe('after the payment', () => {
  test('refunds, in parts up to what was captured', async () => {
    const { id } = await captured();
    const first = await razorpay.payments.refund(id, { amount: 20_000, receipt: 'rfd_1' });
    expect(first).toMatchObject({ status: 'processed', amount: 20_000, receipt: 'rfd_1' });
    expect(await razorpay.payments.fetch(id)).toMatchObject({
      refund_status: 'partial',
      status: 'captured',
    });
    const over = await refusal(razorpay.payments.refund(id, { amount: 30_001 }));
    expect(over).toMatchObject({ statusCode: 400 });
    await razorpay.payments.refund(id, {});
    expect(await razorpay.payments.fetch(id)).toMatchObject({
      refund_status: 'full',
      status: 'refunded',
      amount_refunded: 50_000,
    });
    const { items } = await razorpay.payments.fetchMultipleRefund(id);
    expect(items.map(({ amount }) => amount)).toEqual([30_000, 20_000]);
  });

  test('a refund has an idempotency key', async () => {
    const { id } = await captured();
    const ask = (amount: number): Promise<Response> =>
      fetch(`${world.urls.razorpay}/v1/payments/${id}/refund`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${btoa('rzp_test_sandbox:sandbox')}`,
          'content-type': 'application/json',
          'x-refund-idempotency': `refund-of-${id}`,
        },
        body: JSON.stringify({ amount }),
      });
    const bodies = (await Promise.all([(await ask(100)).json(), (await ask(100)).json()])) as {
      id: string;
    }[];
    expect(bodies[0]!.id).toBe(bodies[1]!.id);
    expect((await ask(200)).status).toBe(400);
    expect(await razorpay.payments.fetch(id)).toMatchObject({ amount_refunded: 100 });
  });

  test('disputes are contested and won, or accepted and lost', async () => {
    const { id } = await captured();
    const opened = await world.control<{ id: string }>('POST', '/disputes', { payment: id });
    const dispute = await razorpay.disputes.fetch(opened.id);
    expect(dispute).toMatchObject({ status: 'open', amount: 50_000, payment_id: id });
    const contested = await razorpay.disputes.contest(opened.id, {
      amount: 50_000,
      summary: 'It was delivered.',
      action: 'submit',
    });
    expect(contested).toMatchObject({
      status: 'under_review',
      evidence: { summary: 'It was delivered.' },
    });
    await world.control('POST', `/disputes/${opened.id}/won`);
    expect((await razorpay.disputes.fetch(opened.id)).amount_deducted).toBe(0);

    const other = await captured('pm_card_createDispute');
    const { items } = await razorpay.disputes.all();
    const second = items.find(({ payment_id }) => payment_id === other.id)!;
    expect(await razorpay.disputes.accept(second.id)).toMatchObject({ status: 'lost' });
  });

  test('a settlement and its reconciliation agree', async () => {
    await world.control('POST', '/payouts', { gateway: 'razorpay' });
    const [settlement] = (await razorpay.settlements.all()).items;
    const now = new Date();
    // The client's types say one line, its answers are a collection.
    const report: unknown = await razorpay.settlements.reports({
      year: now.getUTCFullYear(),
      month: now.getUTCMonth() + 1,
      count: 100,
    });
    const { items } = report as { items: ReconLine[] };
    const net = items.reduce((sum, { credit, debit }) => sum + credit - debit, 0);
    expect(net).toBe(Number(settlement!.amount));
    const fees = items.reduce((sum, { fee }) => sum + fee, 0);
    expect(fees).toBe(settlement!.fees!);
    expect(new Set(items.map(({ type }) => type))).toEqual(
      new Set(['payment', 'refund', 'adjustment']),
    );
  });
});

test('webhooks carry signatures and ids that the official client accepts', async () => {
  const hook = listener();
  await world.control('PATCH', '/settings', {
    razorpay: { webhook: { url: hook.url, secrets: [SECRET] } },
  });
  const { id } = await captured();
  await until(() => hook.received.length === 3);
  const events = hook.received.map(({ body, headers }) => {
    const signature = headers.get('x-razorpay-signature')!;
    expect(Razorpay.validateWebhookSignature(body, signature, SECRET)).toBe(true);
    expect(Razorpay.validateWebhookSignature(body, signature, 'another')).toBe(false);
    return JSON.parse(body) as { event: string; payload: { payment: { entity: { id: string } } } };
  });
  expect(new Set(events.map(({ event }) => event))).toEqual(
    new Set(['payment.authorized', 'payment.captured', 'order.paid']),
  );
  for (const { payload } of events) expect(payload.payment.entity.id).toBe(id);
  const ids = hook.received.map(({ headers }) => headers.get('x-razorpay-event-id'));
  expect(new Set(ids).size).toBe(3);
  await world.control('PATCH', '/settings', { razorpay: { webhook: { url: null } } });
  await hook.stop();
});
