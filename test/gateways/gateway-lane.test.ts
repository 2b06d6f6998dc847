// What the lane of a gateway does with its calls, against the sandbox: fails over where nobody was
// charged, looks first where somebody may have been, and never charges twice, whatever breaks.
import { expect, test } from 'bun:test';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import { gatewayHandler } from '../../src/effects/gateway-lane.ts';
import { type Outcome, type Report, TargetFailed } from '../../src/effects/lane.ts';
import { createLog } from '../../src/io/log.ts';
import type { ClaimedEffect, Memory } from '../../src/store/effects.ts';
import { refusal } from './sandbox-world.ts';
import { failingOnce, openStage, signal, stripeAt } from './stage.ts';

const stage = await openStage();
const log = createLog('gateway lane', 'silent');
const quiet = {
  ...{ down: null, hold_ms: 1_000, pending_ms: 0, fault_scope: 'all' },
  faults: {
    ...{ reset_before: 0, reset_after: 0, timeout_before: 0, timeout_after: 0 },
    ...{ server_error: 0, rate_limited: 0 },
  },
};
const opener = (name: GatewayName) => () => Promise.resolve(stage.gateways[name]);
const handlers = {
  stripe: gatewayHandler('stripe', opener('stripe'), log),
  razorpay: gatewayHandler('razorpay', opener('razorpay'), log),
};

function chargeEffect(more: Partial<ClaimedEffect> = {}, data: object = {}): ClaimedEffect {
  const paymentId = `pay_${Bun.randomUUIDv7()}`;
  return {
    ...{ key: `${paymentId}:charge:1`, tenant: 1, kind: 'charge', attempts: 1, claim: 'c' },
    ...{ askedAt: new Date(), lastError: null, memory: {} },
    data: {
      ...{ payment_id: paymentId, attempt: 1, amount: 4_999, currency: 'INR' },
      ...{ method: { type: 'card', token: 'pm_card_visa' }, capture: 'automatic' },
      ...{ customer_id: 'c_1', order_id: null, is_last: false },
      ...data,
    },
    ...more,
  };
}

/** As the lane has it: what a failure says, else that it is to be made again. */
async function outcomeOf(name: GatewayName, effect: ClaimedEffect): Promise<Outcome> {
  try {
    return await handlers[name].call(effect, signal);
  } catch (error) {
    return error instanceof TargetFailed ? error.outcome : { again: String(error) };
  }
}

function newsOf(outcome: Outcome): Record<string, unknown> | null {
  const [report]: readonly Report[] = 'done' in outcome ? outcome.done : [];
  return (report?.data as Record<string, unknown> | undefined) ?? null;
}

async function capturedOf(paymentId: string): Promise<number[]> {
  const lists = [
    await stage.chargesOf('stripe', paymentId),
    await stage.chargesOf('razorpay', paymentId),
  ];
  return lists.flat().flatMap(({ captured }) => (captured > 0 ? [captured] : []));
}

test('a gateway that is away is failed over; the last one is waited for, a minute', async () => {
  await stage.set({ stripe: { ...quiet, down: 'refused' } });
  const away = { news: 'failed', decline_reason: 'no_gateway_available', attempt: 1 };
  expect(newsOf(await outcomeOf('stripe', chargeEffect()))).toMatchObject(away);
  const last = chargeEffect({}, { is_last: true });
  const { again: said } = (await outcomeOf('stripe', last)) as { again: string };
  expect(said).toStartWith('never sent');
  const again = { ...last, attempts: 2, lastError: said };
  const old = { ...again, askedAt: new Date(Date.now() - 61_000) };
  expect(newsOf(await outcomeOf('stripe', old))).toMatchObject(away);
  await stage.set({ stripe: quiet });
  expect(newsOf(await outcomeOf('stripe', again))).toMatchObject({ news: 'captured' });
});

test('while the breaker is open, only what never reached the gateway goes elsewhere', () => {
  const { refused } = handlers.stripe;
  expect(newsOf(refused!(chargeEffect())!)).toMatchObject({ news: 'failed' });
  const others = [
    chargeEffect({ attempts: 2 }),
    chargeEffect({ attempts: 2, lastError: 'no answer in time' }),
    chargeEffect({ kind: 'refund' }),
  ];
  for (const effect of others) expect(refused!(effect)).toEqual({ again: 'breaker open' });
});

test('after an unknown outcome a refused key or an absent account fails nobody', async () => {
  const unknown = chargeEffect({ attempts: 2 });
  const nobody = gatewayHandler('stripe', () => Promise.resolve(null), log);
  expect(await nobody.call(unknown, signal)).toHaveProperty('again');
  expect(newsOf(await nobody.call(chargeEffect(), signal))).toMatchObject({ news: 'failed' });
  const broken = gatewayHandler('stripe', () => Promise.reject(new Error('db')), log);
  expect(await broken.call(unknown, signal)).toHaveProperty('again');
  // What was never sent need not wait for our secrets, or for a key that is taken.
  expect(newsOf(await broken.call(chargeEffect(), signal))).toMatchObject({ news: 'failed' });
  const wrong = stripeAt(stage.urls.stripe, 'sk_live_refused');
  const refusing = gatewayHandler('stripe', () => Promise.resolve(wrong), log);
  const ofTenant = { isOfTargetOnly: true };
  for (const [effect, next] of [
    [chargeEffect(), { done: [expect.anything()], final: true }],
    [unknown, { again: expect.any(String), afterMs: 60_000 }],
    [
      { ...unknown, kind: 'refund' },
      { again: expect.any(String), afterMs: 60_000 },
    ],
  ] as const)
    expect(await refusal(refusing.call(effect, signal))).toMatchObject({
      ...ofTenant,
      outcome: next,
    });
});

test('a refund goes on under another key, once a second look has found nothing', async () => {
  const gateway = stripeAt(failingOnce(stage.urls.stripe));
  const { call } = gatewayHandler('stripe', () => Promise.resolve(gateway), log);
  const charged = chargeEffect();
  const { reference } = newsOf(await outcomeOf('stripe', charged))!;
  const data = { ...charged.data, reference, amount: 1_000 };
  const refund = { ...charged, key: `rfd_${Bun.randomUUIDv7()}`, kind: 'refund', data };
  expect(String(await refusal(call(refund, signal)))).toEndWith('500');
  const spent = await call({ ...refund, attempts: 2 }, signal);
  expect(spent).toMatchObject({ afterMs: 60_000, memory: { keys_spent: 1 } });
  const { memory } = spent as { memory: Memory };
  const news = newsOf(await call({ ...refund, attempts: 3, memory }, signal));
  expect(news).toMatchObject({ news: 'refund_succeeded', subject: refund.key });
});

test('what the gateway has not decided is asked again, less and less often', async () => {
  const charged = chargeEffect({}, { method: { type: 'card', token: 'pm_card_pendingRefund' } });
  const { reference } = newsOf(await outcomeOf('stripe', charged))!;
  await stage.set({ stripe: { ...quiet, pending_ms: 60_000 } });
  const data = { ...charged.data, reference, amount: 1_000 };
  const refund = { ...charged, key: `rfd_${Bun.randomUUIDv7()}`, kind: 'refund', data };
  for (const [attempts, afterMs] of [
    [1, 60_000],
    [2, 120_000],
    [9, 3_600_000],
    [99, 3_600_000],
  ] as const)
    expect(await outcomeOf('stripe', { ...refund, attempts })).toMatchObject({ afterMs });
  await stage.set({ stripe: quiet });
});

test('what a lost ledger has done is looked for by the one that was restored', async () => {
  await stage.set({ stripe: quiet, razorpay: quiet });
  for (const name of gatewayNames) {
    const charged = chargeEffect();
    const told = newsOf(await outcomeOf(name, charged))!;
    const refund = {
      ...{ ...charged, key: `rfd_${Bun.randomUUIDv7()}`, kind: 'refund' },
      data: { ...charged.data, reference: told['reference'], amount: 1_000 },
    };
    const refunded = newsOf(await outcomeOf(name, refund));
    const askedAt = new Date(Date.now() - 600_000);
    // As the backup had them: never tried, or tried in vain.
    const restored = { ...charged, askedAt };
    const unsent = { ...restored, attempts: 2, lastError: 'never sent: no connection' };
    for (const effect of [restored, unsent])
      expect(newsOf(await outcomeOf(name, effect))).toEqual(told);
    expect(newsOf(await outcomeOf(name, { ...refund, askedAt }))).toEqual(refunded);
    const charges = await stage.chargesOf(name, String(charged.data['payment_id']));
    expect(charges).toMatchObject([{ captured: 4_999, refunded: 1_000 }]);
    expect(handlers[name].refused!(restored)).toEqual({ again: 'breaker open' });
  }
});

test('a refund or a capture that the gateway refuses is news', async () => {
  const charged = chargeEffect();
  const news = newsOf(await outcomeOf('stripe', charged))!;
  const data = { ...charged.data, reference: news['reference'], amount: 9_999 };
  const refund = { ...charged, key: `rfd_${Bun.randomUUIDv7()}`, kind: 'refund', data };
  const told = { news: 'refund_failed', subject: refund.key, amount: 9_999 };
  const outcome = await outcomeOf('stripe', refund);
  expect(newsOf(outcome)).toMatchObject(told);
  // Another may be asked for, so this one is never tried again.
  expect(outcome).toHaveProperty('final', true);
  const held = chargeEffect({}, { capture: 'manual' });
  const { reference } = newsOf(await outcomeOf('razorpay', held))!;
  const part = {
    ...held,
    key: `${held.key}:capture:1`,
    kind: 'capture',
    data: { ...held.data, reference, amount: 1 },
  };
  expect(newsOf(await outcomeOf('razorpay', part))).toMatchObject({
    ...{ news: 'capture_failed', subject: part.key, decline_reason: 'processing_error' },
  });
});

/** Draws the same for the same seed. */
function dice(seed: number) {
  let drawn = 0;
  return () => Number(Bun.hash.wyhash(String(drawn++), BigInt(seed)) >> 11n) / 2 ** 53;
}

/** One payment to its end as rule and lane would take it, with workers that die in between. */
async function carryOut(seed: number): Promise<{ paymentId: string; news: unknown }> {
  const chance = dice(seed);
  const order: GatewayName[] = chance() < 0.5 ? ['stripe', 'razorpay'] : ['razorpay', 'stripe'];
  const slow = chance() < 0.2;
  const token = slow ? 'success@razorpay' : 'pm_card_visa';
  const first = chargeEffect({}, { method: { type: 'card', token } });
  const paymentId = String(first.data['payment_id']);
  for (const [index, name] of order.entries()) {
    const attempt = index + 1;
    const data = { ...first.data, attempt, is_last: attempt === order.length };
    let effect: ClaimedEffect = { ...first, key: `${paymentId}:charge:${attempt}`, data };
    let outcome: Outcome = { again: '' };
    for (; ; effect = { ...effect, attempts: effect.attempts + 1 }) {
      outcome = await outcomeOf(name, effect);
      const died = chance() < 0.1;
      effect = { ...effect, lastError: !died && 'again' in outcome ? outcome.again : null };
      if (!died && 'done' in outcome && outcome.done.length > 0) break;
    }
    const news = newsOf(outcome)!;
    const elsewhere = ['processing_error', 'no_gateway_available'];
    if (news['news'] !== 'failed' || !elsewhere.includes(String(news['decline_reason'])))
      return { paymentId, news: news['news'] };
  }
  return { paymentId, news: 'failed' };
}

test('whatever breaks, nobody is charged twice, and who is told so is charged once', async () => {
  const faults = {
    ...{ reset_before: 0.06, reset_after: 0.06, timeout_before: 0.03, timeout_after: 0.03 },
    ...{ server_error: 0.06, rate_limited: 0.02 },
  };
  await stage.set({ seed: 11, stripe: { ...quiet, faults }, razorpay: { ...quiet, faults } });
  const seeds = Array.from({ length: 150 }, (_, seed) => seed);
  const ended = await Promise.all(seeds.map((seed) => carryOut(seed)));
  await stage.set({ stripe: quiet, razorpay: quiet });
  const told = { captured: 0, failed: 0 };
  for (const [seed, { paymentId, news }] of ended.entries()) {
    const captured = await capturedOf(paymentId);
    expect({ seed, captured }).toEqual({ seed, captured: news === 'captured' ? [4_999] : [] });
    told[news as 'captured' | 'failed']++;
  }
  // Nothing of it was a refusal of the buyer's bank.
  expect(told).toEqual({ captured: seeds.length, failed: 0 });
}, 60_000);
