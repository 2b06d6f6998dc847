// Each adapter against the sandbox, by one suite: what is asked for is done once for each key, and
// what became of it is found by that key.
import { describe, expect, test } from 'bun:test';
import type { DeclineReason, GatewayName } from '../../schemas/payments.ts';
import { GatewayBusy, GatewayRefused, GatewayUnreachable } from '../../src/gateways/gateway.ts';
import { chargeOf, openStage, paymentOf, razorpayAt, signal, stripeAt } from './stage.ts';

const stage = await openStage();
const quiet = { faults: none(), down: null, pending_ms: 60_000, hold_ms: 2_000 };
const names: readonly GatewayName[] = ['stripe', 'razorpay'];

function none() {
  return {
    ...{ reset_before: 0, reset_after: 0, timeout_before: 0, timeout_after: 0 },
    ...{ server_error: 0, rate_limited: 0 },
  };
}

/** Charges that hold or took money. */
async function standing(name: GatewayName, paymentId: string) {
  const charges = await stage.chargesOf(name, paymentId);
  return charges.filter(({ status }) => status === 'authorized' || status === 'captured');
}

async function thrown(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'nothing was thrown',
    (error: unknown) => error,
  );
}

describe.each(names)('%s', (name) => {
  const gateway = stage.gateways[name];
  const set = (settings: object) => stage.set({ [name]: { ...quiet, ...settings } });

  test('charges, and tells the fee', async () => {
    await set({});
    const request = chargeOf('pm_card_visa');
    const told = await gateway.charge(request, signal);
    const [charge] = await stage.chargesOf(name, request.paymentId);
    expect(charge).toMatchObject({ status: 'captured', captured: 4_999 });
    expect(told).toMatchObject({ news: 'captured', amount: 4_999, fee: charge!.fee });
    expect(charge!.fee).toBeGreaterThan(0);
    expect(charge!.metadata).toMatchObject({ payment_id: request.paymentId, attempt: '1' });
  });

  test('holds, then captures; again it is as it was', async () => {
    const request = chargeOf('pm_card_visa', { capture: 'manual' });
    const held = await gateway.charge(request, signal);
    expect(held).toMatchObject({ news: 'authorized', amount: 4_999 });
    expect(await standing(name, request.paymentId)).toMatchObject([{ status: 'authorized' }]);
    const payment = paymentOf(request, held!.reference);
    const captured = await gateway.capture('k', payment, signal);
    expect(captured).toMatchObject({ news: 'captured', amount: 4_999 });
    expect(await gateway.capture('k', { ...payment, again: true }, signal)).toEqual(captured);
    const tooLate = await gateway.cancel('k', payment, signal).catch((error: unknown) => error);
    expect(tooLate).toMatchObject({ news: 'captured' });
  });

  test('cancels what is held', async () => {
    const request = chargeOf('pm_card_visa', { capture: 'manual' });
    const held = await gateway.charge(request, signal);
    const payment = paymentOf(request, held!.reference);
    expect(await gateway.cancel('k', payment, signal)).toMatchObject({ news: 'cancelled' });
    expect(await gateway.cancel('k', payment, signal)).toMatchObject({ news: 'cancelled' });
  });

  test('refunds in parts, each once under its id', async () => {
    const request = chargeOf('pm_card_visa');
    const { reference } = (await gateway.charge(request, signal))!;
    const ids = [1, 2].map(() => `rfd_${Bun.randomUUIDv7()}`);
    const part = paymentOf(request, reference, { amount: 1_000 });
    for (const id of ids) {
      const told = await gateway.refund(id, part, signal);
      expect(told).toMatchObject({ news: 'refund_succeeded', amount: 1_000, subject: id });
      expect(await gateway.refund(id, { ...part, again: true }, signal)).toEqual(told);
      expect(await gateway.refund(id, part, signal)).toEqual(told);
    }
    const [charge] = await stage.chargesOf(name, request.paymentId);
    expect(charge!.refunded).toBe(2_000);
    const rest = { ...part, amount: 3_000 };
    const id = `rfd_${Bun.randomUUIDv7()}`;
    expect(await thrown(gateway.refund(id, rest, signal))).toBeInstanceOf(GatewayRefused);
  });

  test.each<[string, DeclineReason]>([
    ['pm_card_visa_chargeDeclined', 'card_declined'],
    ['pm_card_visa_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card'],
    ['pm_card_chargeDeclinedIncorrectCvc', 'incorrect_cvc'],
    ['pm_card_chargeDeclinedProcessingError', 'processing_error'],
    ['pm_card_radarBlock', 'fraud_suspected'],
    ['pm_card_authenticationRequired', 'authentication_failed'],
  ])('says why it declines %s', async (token, declineReason) => {
    const request = chargeOf(token);
    const told = await gateway.charge(request, signal);
    expect(told).toMatchObject({ news: 'failed', amount: 0, declineReason });
    expect(await gateway.charge({ ...request, first: false, again: true }, signal)).toEqual(told);
    expect(await gateway.find(request, signal)).toEqual(told);
    expect(await standing(name, request.paymentId)).toEqual([]);
  });

  test('a method that takes its time brings no news, until it is looked for', async () => {
    await set({ pending_ms: 0 });
    const request = chargeOf('pm_usBankAccount_success');
    expect(await gateway.charge(request, signal)).toBeNull();
    let told = null;
    for (let look = 0; look < 100 && told === null; look++) {
      await Bun.sleep(20);
      told = await gateway.charge({ ...request, first: false, again: true }, signal);
    }
    expect(told).toMatchObject({ news: 'captured', amount: 4_999 });
    expect(await standing(name, request.paymentId)).toHaveLength(1);
  });

  test('what was never charged is absent', async () => {
    await set({});
    expect(await gateway.find(chargeOf('pm_card_visa'), signal)).toBe('absent');
  });

  test.each([
    'reset_before',
    'reset_after',
    'timeout_before',
    'timeout_after',
    'server_error',
  ] as const)('after %s it goes on with what is there', async (fault) => {
    const request = chargeOf('pm_card_visa');
    await set({ faults: { ...none(), [fault]: 1 } });
    // Nobody can have been charged by the first step.
    expect(await thrown(gateway.charge(request, signal))).toBeInstanceOf(GatewayUnreachable);
    expect(await standing(name, request.paymentId)).toEqual([]);
    await set({});
    const told = await gateway.charge({ ...request, first: false, again: true }, signal);
    expect(told).toMatchObject({ news: 'captured', amount: 4_999 });
    expect(await standing(name, request.paymentId)).toHaveLength(1);
  });

  test('turned away, refused, and away are three things', async () => {
    await set({ faults: { ...none(), rate_limited: 1 } });
    expect(await thrown(gateway.charge(chargeOf('t'), signal))).toBeInstanceOf(GatewayBusy);
    await set({});
    const unknown = await thrown(gateway.charge(chargeOf('pm_unheard_of'), signal));
    expect(unknown).toBeInstanceOf(GatewayRefused);
    expect(unknown).toMatchObject({ ofKey: false, reason: 'processing_error' });
    await set({ down: 'refused' });
    const request = chargeOf('pm_card_visa');
    expect(await thrown(gateway.charge(request, signal))).toBeInstanceOf(GatewayUnreachable);
    await set({});
  });
});

test('a key of ours that is refused says nothing of the payment', async () => {
  const { urls } = stage;
  for (const gateway of [stripeAt(urls.stripe, 'sk_live_1'), razorpayAt(urls.razorpay, 'none')]) {
    const request = chargeOf('pm_card_visa', { again: true });
    const refusal = await thrown(gateway.charge(request, signal));
    expect(refusal).toBeInstanceOf(GatewayRefused);
    expect(refusal).toMatchObject({ ofKey: true });
  }
});

test('Stripe captures a part, Razorpay the whole only', async () => {
  for (const name of names) {
    const gateway = stage.gateways[name];
    const request = chargeOf('pm_card_visa', { capture: 'manual' });
    const { reference } = (await gateway.charge(request, signal))!;
    const part = paymentOf(request, reference, { amount: 3_000 });
    const told = await thrown(
      gateway.capture('k', part, signal).then((news) => {
        throw news;
      }),
    );
    if (name === 'stripe') expect(told).toMatchObject({ news: 'captured', amount: 3_000 });
    else expect(told).toBeInstanceOf(GatewayRefused);
  }
});
