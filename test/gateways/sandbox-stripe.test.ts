// The sandbox speaks Stripe's API: the official client works against it as against the real one.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import Stripe from 'stripe';
import {
  type World,
  listener,
  refusal,
  sandboxWorld,
  SECRET,
  stripeClient,
  until,
} from './sandbox-world.ts';

let world: World;
let stripe: Stripe;

beforeAll(async () => {
  world = await sandboxWorld();
  stripe = world.stripe;
});
afterAll(() => world.stop());

const charged = (more: Partial<Stripe.PaymentIntentCreateParams> = {}) =>
  stripe.paymentIntents.create({
    amount: 4_999,
    currency: 'usd',
    payment_method: 'pm_card_visa',
    confirm: true,
    ...more,
  });

describe('payment intents', () => {
  test('a charge succeeds, with its fee where it is asked for', async () => {
    const intent = await charged({
      metadata: { payment_id: 'pay_1' },
      expand: ['latest_charge.balance_transaction'],
    });
    expect(intent.status).toBe('succeeded');
    expect(intent.amount_received).toBe(4_999);
    const charge = intent.latest_charge as Stripe.Charge;
    expect(charge.metadata).toEqual({ payment_id: 'pay_1' });
    const line = charge.balance_transaction as Stripe.BalanceTransaction;
    expect(line).toMatchObject({ amount: 4_999, fee: 175, net: 4_824, type: 'charge' });
    expect(await stripe.paymentIntents.retrieve(intent.id)).toMatchObject({ status: 'succeeded' });
  });

  test('manual capture: authorized, captured in part, once', async () => {
    const intent = await charged({ capture_method: 'manual' });
    expect(intent).toMatchObject({ status: 'requires_capture', amount_capturable: 4_999 });
    const twice = stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_visa' });
    expect(await refusal(twice)).toMatchObject({ code: 'payment_intent_unexpected_state' });
    const over = await refusal(
      stripe.paymentIntents.capture(intent.id, { amount_to_capture: 5_000 }),
    );
    expect(over).toMatchObject({ statusCode: 400, code: 'amount_too_large' });
    const captured = await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 4_000 });
    expect(captured).toMatchObject({ status: 'succeeded', amount_received: 4_000 });
    const again = await refusal(stripe.paymentIntents.capture(intent.id));
    expect(again).toMatchObject({ code: 'payment_intent_unexpected_state' });
  });

  test('an authorization is cancelled, and then neither captured nor cancelled', async () => {
    const intent = await charged({ capture_method: 'manual' });
    expect(await stripe.paymentIntents.cancel(intent.id)).toMatchObject({ status: 'canceled' });
    const late = await refusal(stripe.paymentIntents.capture(intent.id));
    expect(late).toMatchObject({ code: 'payment_intent_unexpected_state' });
    expect(await refusal(stripe.paymentIntents.cancel(intent.id))).toMatchObject({
      statusCode: 400,
    });
  });

  test.each([
    ['pm_card_visa_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_visa_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', ''],
    ['pm_card_chargeDeclinedIncorrectCvc', 'incorrect_cvc', ''],
    ['pm_card_chargeDeclinedProcessingError', 'processing_error', ''],
    ['pm_card_radarBlock', 'card_declined', 'fraudulent'],
    ['pm_card_visa_chargeDeclined~another', 'card_declined', 'generic_decline'],
  ])('%s is declined', async (token, code, declineCode) => {
    const error = await refusal(charged({ payment_method: token }));
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(error).toMatchObject({ code, decline_code: declineCode, statusCode: 402 });
    const intent = error['payment_intent'] as Stripe.PaymentIntent;
    expect(intent.status).toBe('requires_payment_method');
    const tried = await stripe.paymentIntents.confirm(intent.id, {
      payment_method: 'pm_card_visa',
    });
    expect(tried).toMatchObject({ status: 'succeeded', last_payment_error: null });
    const charges = await stripe.charges.list({ payment_intent: intent.id });
    expect(charges.data.map(({ status }) => status)).toEqual(['succeeded', 'failed']);
  });

  test('an authentication is asked for, or declines where nobody can be asked', async () => {
    const payment_method = 'pm_card_authenticationRequired';
    expect((await charged({ payment_method })).status).toBe('requires_action');
    const error = await refusal(charged({ payment_method, off_session: true }));
    expect(error).toMatchObject({ code: 'authentication_required' });
  });

  test('a method that takes its time is decided later', async () => {
    await world.control('PATCH', '/settings', { stripe: { pending_ms: 20 } });
    const intent = await charged({ payment_method: 'pm_usBankAccount_success' });
    expect(intent.status).toBe('processing');
    await until(async () => {
      const { status } = await stripe.paymentIntents.retrieve(intent.id);
      return status === 'succeeded';
    });
  });

  test('found by metadata, as far behind as the settings say', async () => {
    const { id } = await charged({ metadata: { key: 'find:me' } });
    const query = "metadata['key']:'find:me' AND status:'succeeded'";
    const found = await stripe.paymentIntents.search({ query });
    expect(found.data.map((intent) => intent.id)).toEqual([id]);
    await world.control('PATCH', '/settings', { stripe: { search_lag_ms: 60_000 } });
    expect((await stripe.paymentIntents.search({ query })).data).toEqual([]);
    await world.control('PATCH', '/settings', { stripe: { search_lag_ms: 0 } });
  });

  test('what is wrong is refused as Stripe refuses it, and leaves nothing', async () => {
    const count = async (): Promise<number> =>
      (await stripe.paymentIntents.list({ limit: 100 })).data.length;
    const before = await count();
    const refused = async (params: object, expected: object): Promise<void> =>
      expect(await refusal(charged(params))).toMatchObject({ statusCode: 400, ...expected });
    await refused({ payment_method: 'pm_unknown' }, { code: 'resource_missing' });
    await refused({ amount: 0 }, { param: 'amount' });
    await refused({ surprise: '1' }, { code: 'parameter_unknown', param: 'surprise' });
    await refused({ expand: ['nothing'] }, { param: 'expand' });
    await refused({ currency: 'dollars' }, { param: 'currency' });
    expect(await count()).toBe(before);
    const none = await refusal(stripe.paymentIntents.retrieve('pi_none'));
    expect(none).toMatchObject({ statusCode: 404, code: 'resource_missing' });
    const live = new Stripe('sk_live_1234', { ...optionsOf(world), maxNetworkRetries: 0 });
    expect(await refusal(live.balance.retrieve())).toMatchObject({ statusCode: 401 });
  });
});

const optionsOf = ({ urls }: World) => {
  const { hostname, port } = new URL(urls.stripe);
  return { host: hostname, port: Number(port), protocol: 'http' as const };
};

describe('idempotency', () => {
  const create = (key: string, amount: number) =>
    stripe.paymentIntents.create(
      { amount, currency: 'usd', payment_method: 'pm_card_visa', confirm: true },
      { idempotencyKey: key },
    );

  test('the same key has the same answer, other parameters an error', async () => {
    const first = await create('key-1', 700);
    const again = await create('key-1', 700);
    expect(again.id).toBe(first.id);
    const headers = new Headers(again.lastResponse.headers);
    expect(headers.get('idempotent-replayed')).toBe('true');
    const error = await refusal(create('key-1', 701));
    expect(error).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  });

  test('a decline is kept, a wrong request is not', async () => {
    const params = { amount: 1, currency: 'usd', confirm: true };
    const key = { idempotencyKey: 'key-2' };
    const token = 'pm_card_visa_chargeDeclined';
    await refusal(stripe.paymentIntents.create({ ...params, payment_method: 'pm_no' }, key));
    const make = () => stripe.paymentIntents.create({ ...params, payment_method: token }, key);
    const [one, two] = [await refusal(make()), await refusal(make())];
    expect(one['charge']).toBe(two['charge']!);
  });

  test('while the first is under way, the second is a conflict', async () => {
    await world.control('PATCH', '/settings', {
      stripe: { latency_median_ms: 200, latency_p99_ms: 200 },
    });
    const both = await Promise.allSettled([create('key-3', 5), create('key-3', 5)]);
    await world.control('PATCH', '/settings', {
      stripe: { latency_median_ms: 0, latency_p99_ms: 0 },
    });
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const failed = both.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    expect(failed.reason).toMatchObject({ statusCode: 409, code: 'idempotency_key_in_use' });
  });
});

describe('after the charge', () => {
  test('refunds, in parts up to what was captured', async () => {
    const { id } = await charged();
    const first = await stripe.refunds.create({ payment_intent: id, amount: 1_000 });
    expect(first).toMatchObject({ status: 'succeeded', amount: 1_000 });
    const over = await refusal(stripe.refunds.create({ payment_intent: id, amount: 4_000 }));
    expect(over).toMatchObject({ code: 'amount_too_large' });
    await stripe.refunds.create({ payment_intent: id });
    const done = await refusal(stripe.refunds.create({ payment_intent: id }));
    expect(done).toMatchObject({ code: 'charge_already_refunded' });
    const refunds = await stripe.refunds.list({ payment_intent: id });
    expect(refunds.data.map(({ amount }) => amount)).toEqual([3_999, 1_000]);
    const [charge] = (await stripe.charges.list({ payment_intent: id })).data;
    expect(charge).toMatchObject({ refunded: true, amount_refunded: 4_999 });
  });

  test('a refund that bounces gives the money back', async () => {
    const { id } = await charged({ payment_method: 'pm_card_refundFail' });
    const refund = await stripe.refunds.create({ payment_intent: id, amount: 500 });
    expect(refund.status).toBe('succeeded');
    await until(async () => (await stripe.refunds.retrieve(refund.id)).status === 'failed');
    const [charge] = (await stripe.charges.list({ payment_intent: id })).data;
    expect(charge!.amount_refunded).toBe(0);
  });

  test('disputes: opened by a token, answered, won; dismissed, lost', async () => {
    const intent = await charged({ payment_method: 'pm_card_createDispute' });
    const [dispute] = (await stripe.disputes.list({ payment_intent: intent.id })).data;
    expect(dispute).toMatchObject({ status: 'needs_response', amount: 4_999 });
    const closed = await refusal(stripe.refunds.create({ payment_intent: intent.id }));
    expect(closed).toMatchObject({ code: 'charge_disputed' });
    const evidence = { customer_name: 'A. Buyer' };
    const kept = await stripe.disputes.update(dispute!.id, { evidence, submit: false });
    expect(kept).toMatchObject({ status: 'needs_response', evidence });
    expect((await stripe.disputes.update(dispute!.id, { submit: true })).status).toBe(
      'under_review',
    );
    await world.control('POST', `/disputes/${dispute!.id}/won`);
    const won = await stripe.disputes.retrieve(dispute!.id);
    expect(won.status).toBe('won');
    expect(won.balance_transactions.map(({ net }) => net)).toEqual([-6_499, 4_999]);

    const other = await charged();
    const opened = await world.control<{ id: string }>('POST', '/disputes', { payment: other.id });
    expect(await stripe.disputes.close(opened.id)).toMatchObject({ status: 'lost' });
  });

  test('a payout takes the whole balance', async () => {
    const before = await stripe.balance.retrieve();
    expect(before.available[0]!.amount).toBeGreaterThan(0);
    await world.control('POST', '/payouts', { gateway: 'stripe' });
    const [payout] = (await stripe.payouts.list()).data;
    expect(payout).toMatchObject({ amount: before.available[0]!.amount, status: 'paid' });
    expect((await stripe.balance.retrieve()).available).toEqual([]);
    const lines = await stripe.balanceTransactions.list({ payout: payout!.id, limit: 100 });
    expect(lines.data.reduce((sum, { net }) => sum + net, 0)).toBe(0);
  });

  test('lists come in pages', async () => {
    const all = await stripe.paymentIntents.list({ limit: 100 });
    const paged: string[] = [];
    for await (const { id } of stripe.paymentIntents.list({ limit: 3 })) paged.push(id);
    expect(paged).toEqual(all.data.map(({ id }) => id));
    expect(paged.length).toBeGreaterThan(3);
  });
});

test('webhooks carry signatures that the official client accepts, with either secret', async () => {
  const hook = listener();
  const secrets = [SECRET, 'whsec_of_before'];
  await world.control('PATCH', '/settings', { stripe: { webhook: { url: hook.url, secrets } } });
  const intent = await charged({ metadata: { payment_id: 'pay_2' } });
  await until(() => hook.received.length === 3);
  const events: Stripe.Event[] = [];
  for (const { body, headers } of hook.received) {
    const opened = (text: string, secret: string): Promise<Stripe.Event> =>
      stripe.webhooks.constructEventAsync(text, headers.get('stripe-signature')!, secret);
    for (const secret of secrets) events.push(await opened(body, secret));
    expect(await refusal(opened(body, 'whsec_other'))).toBeInstanceOf(Error);
    expect(await refusal(opened(`${body} `, SECRET))).toBeInstanceOf(Error);
  }
  expect(new Set(events.map(({ type }) => type))).toEqual(
    new Set(['payment_intent.created', 'charge.succeeded', 'payment_intent.succeeded']),
  );
  const told = events.find(({ type }) => type === 'payment_intent.succeeded')!;
  expect(told.data.object).toMatchObject({ id: intent.id, metadata: { payment_id: 'pay_2' } });
  expect((await stripe.events.retrieve(told.id)).data.object).toEqual(told.data.object);
  await world.control('PATCH', '/settings', { stripe: { webhook: { url: null } } });
  await hook.stop();
});

test('a gateway that is down refuses connections; the other answers', async () => {
  await world.control('PATCH', '/settings', { stripe: { down: 'refused' } });
  const error = await refusal(stripeClient(world.urls.stripe).balance.retrieve());
  expect(error).toBeInstanceOf(Stripe.errors.StripeConnectionError);
  expect(await world.razorpay.orders.all()).toMatchObject({ entity: 'collection' });
  await world.control('PATCH', '/settings', { stripe: { down: null } });
  expect(await stripe.balance.retrieve()).toMatchObject({ object: 'balance' });
});
