// What a second try finds of the first: under a key that was forgotten, that was used in other
// words, that brings an old failure only; and under a receipt with several orders.
import { describe, expect, test } from 'bun:test';
import { gatewayNames } from '../../schemas/payments.ts';
import { GatewayKeySpent, GatewayRefused, GatewayUnreachable } from '../../src/gateways/gateway.ts';
import { refusal } from './sandbox-world.ts';
import {
  chargeOf,
  failingOnce,
  openStage,
  paymentOf,
  razorpayAt,
  signal,
  stripeAt,
} from './stage.ts';

const stage = await openStage();
const { stripe, razorpay } = stage.gateways;
const later = { first: false, again: true };
const day = 25 * 3_600_000;

const ambush = (gateway: string, method: string, path: string, fault: string, times = 1) =>
  stage.control('POST', '/faults', { gateway, method, path, fault, times });

describe('an intent of Stripe', () => {
  test('whose key is forgotten is searched for, before one is made', async () => {
    const request = chargeOf('pm_card_visa', { askedAt: new Date(Date.now() - day) });
    const told = await stripe.charge(request, signal);
    await ambush('stripe', 'POST', '/v1/payment_intents', 'reset_before');
    expect(await stripe.charge({ ...request, ...later }, signal)).toEqual(told);
    // Who takes the key for a fresh one walks into the ambush.
    const early = stripeAt(stage.urls.stripe, 'sk_test_stage', () => Date.now() - day);
    expect(await refusal(early.charge({ ...request, ...later }, signal))).toBeInstanceOf(Error);
    expect(await stage.chargesOf('stripe', request.paymentId)).toHaveLength(1);
  });

  test('whose key was used in other words is not refused, but searched for', async () => {
    const request = chargeOf('pm_card_visa');
    const told = await stripe.charge(request, signal);
    const other = { ...request, ...later, customerId: 'c_2' };
    expect(await stripe.charge(other, signal)).toEqual(told);
    await stage.set({ stripe: { search_lag_ms: 60_000 } });
    const error = await refusal(stripe.charge(other, signal));
    expect(error).not.toBeInstanceOf(GatewayRefused);
    expect(error).not.toBeInstanceOf(GatewayUnreachable);
    await stage.set({ stripe: { search_lag_ms: 0 } });
    expect(await stage.chargesOf('stripe', request.paymentId)).toHaveLength(1);
  });
});

describe('an order of Razorpay', () => {
  test('is looked for by a second try, whoever was charged, and not made again', async () => {
    const request = chargeOf('pm_card_visa');
    await ambush('razorpay', 'POST', '/v1/orders', 'reset_after');
    expect(await refusal(razorpay.charge(request, signal))).toBeInstanceOf(GatewayUnreachable);
    const told = await razorpay.charge({ ...request, first: false }, signal);
    expect(told).toMatchObject({ news: 'captured' });
    expect(await ordersOf(request.paymentId)).toHaveLength(1);
  });

  test('of several under one receipt, the one that was paid is found', async () => {
    for (const orderPaid of ['oldest', 'newest']) {
      const request = chargeOf('pm_card_visa');
      const order = async (): Promise<unknown> => {
        await ambush('razorpay', 'POST', '/create/recurring', 'reset_before');
        return await refusal(razorpay.charge(request, signal));
      };
      if (orderPaid === 'newest') await order();
      const told = await razorpay.charge(request, signal);
      if (orderPaid === 'oldest') await order();
      expect(await ordersOf(request.paymentId)).toHaveLength(2);
      expect(await razorpay.charge({ ...request, ...later }, signal)).toEqual(told);
      expect(await razorpay.find(request, signal)).toEqual(told);
      expect(await stage.chargesOf('razorpay', request.paymentId)).toHaveLength(1);
    }
  });

  const ordersOf = async (paymentId: string): Promise<unknown[]> => {
    const orders = await stage.control<{ metadata: Record<string, string> }[]>(
      'GET',
      '/objects/razorpay/intent?limit=1000',
    );
    return orders.filter(({ metadata }) => metadata['payment_id'] === paymentId);
  };
});

describe('a refund whose key brings an old failure', () => {
  test('is tried under the next key, and told once', async () => {
    const gateway = stripeAt(failingOnce(stage.urls.stripe));
    const request = chargeOf('pm_card_visa');
    const { reference } = (await gateway.charge(request, signal))!;
    const payment = paymentOf(request, reference, { amount: 1_000 });
    const id = `rfd_${Bun.randomUUIDv7()}`;
    expect(await refusal(gateway.refund(id, payment, signal))).not.toBeInstanceOf(GatewayKeySpent);
    const again = { ...payment, again: true };
    expect(await refusal(gateway.refund(id, again, signal))).toBeInstanceOf(GatewayKeySpent);
    const told = await gateway.refund(id, { ...again, keysSpent: 1 }, signal);
    expect(told).toMatchObject({ news: 'refund_succeeded', amount: 1_000, subject: id });
    expect(await gateway.refund(id, { ...again, keysSpent: 1 }, signal)).toEqual(told);
    expect(await gateway.refund(id, { ...again, keysSpent: 2 }, signal)).toEqual(told);
    const [charge] = await stage.chargesOf('stripe', request.paymentId);
    expect(charge!.refunded).toBe(1_000);
  });
});

describe.each(gatewayNames)('a refund at %s', (name) => {
  test('whose key was used in other words is looked for, then tried under the next', async () => {
    const gateway = stage.gateways[name];
    const request = chargeOf('pm_card_visa');
    const { reference } = (await gateway.charge(request, signal))!;
    const payment = paymentOf(request, reference, { amount: 1_000 });
    // The id that money of a try that was given up goes back under.
    const id = `${request.paymentId}:stray:1:refund`;
    const told = await gateway.refund(id, payment, signal);
    expect(told).toMatchObject({ news: 'refund_succeeded', subject: id });
    const other = { ...payment, amount: 900 };
    expect(await refusal(gateway.refund(id, other, signal))).toBeInstanceOf(GatewayKeySpent);
    expect(await gateway.refund(id, { ...other, again: true, keysSpent: 1 }, signal)).toEqual(told);
    const next = `rfd_${Bun.randomUUIDv7()}`;
    for (const keysSpent of [0, 1, 2]) {
      const refund = await gateway.refund(next, { ...other, keysSpent }, signal);
      expect(refund).toMatchObject({ amount: 900, subject: next });
    }
    const [charge] = await stage.chargesOf(name, request.paymentId);
    expect(charge!.refunded).toBe(1_000 + 3 * 900);
  });
});

test('where nobody looks nobody is charged, and who was not charged may go', async () => {
  const request = chargeOf('pm_card_visa', { first: false });
  await ambush('razorpay', 'GET', '/v1/orders', 'server_error', 2);
  expect(await refusal(razorpay.charge(request, signal))).toBeInstanceOf(GatewayUnreachable);
  const unknown = await refusal(razorpay.charge({ ...request, ...later }, signal));
  expect(unknown).not.toBeInstanceOf(GatewayUnreachable);
  const wrong = razorpayAt(stage.urls.razorpay, 'none');
  expect(await refusal(wrong.charge(request, signal))).toMatchObject({ ofKey: true });
  expect(await stage.chargesOf('razorpay', request.paymentId)).toEqual([]);
});
