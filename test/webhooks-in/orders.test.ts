// The sandbox's own webhooks of a payment's whole life, put to the rules in any order and any
// number of times: the payment ends the same, and the books are the gateway's own.
import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { rules } from '../../consumers/index.ts';
import type { GatewayName } from '../../schemas/payments.ts';
import type { Told } from '../../src/gateways/sandbox/objects.ts';
import type { LedgerEvent, State } from '../../src/ledger/decision.ts';
import { PaymentLedger, type Step } from '../domains/payments-ledger.ts';
import { initiated } from '../domains/payments-steps.ts';
import { type World, sandboxWorld } from '../gateways/sandbox-world.ts';

const world = await sandboxWorld();
afterAll(() => world.stop());
const rule = rules.get('webhook.received')!;
const AMOUNT = 4_999;
/** The one whose life is told. */
let current = '';
const money = { stripe: 'USD', razorpay: 'INR' } as const;

type Labels = Record<string, string>;
type Life = (world: World, labels: Labels) => Promise<unknown>;

async function charged(labels: Labels, more: object = {}): Promise<string> {
  const { id } = await world.stripe.paymentIntents.create({
    ...{ amount: AMOUNT, currency: 'usd', payment_method: 'pm_card_visa' },
    ...{ metadata: labels, ...more },
  });
  await world.stripe.paymentIntents.confirm(id).catch(() => null);
  return id;
}

async function paid(labels: Labels): Promise<string> {
  const order = { amount: AMOUNT, currency: 'INR' };
  const { id } = await world.razorpay.orders.create({ ...order, notes: labels });
  const made = await world.razorpay.payments.createRecurringPayment({
    ...{ ...order, order_id: id, token: 'token_success', recurring: '1', notes: labels },
    ...{ customer_id: 'cust_1', email: 'buyer@example.com', contact: '9000090000' },
  });
  await world.razorpay.payments.capture(made.razorpay_payment_id!, AMOUNT, 'INR');
  return made.razorpay_payment_id!;
}

async function disputed(payment: string, amount: number, end: 'won' | 'lost'): Promise<void> {
  const made = await world.control<{ id: string }>('POST', '/disputes', { payment, amount });
  await world.control('POST', `/disputes/${made.id}/${end}`);
}

const lives: [GatewayName, name: string, life: Life][] = [
  ['stripe', 'captured', (_, labels) => charged(labels)],
  [
    'stripe',
    'declined',
    (_, labels) => charged(labels, { payment_method: 'pm_card_visa_chargeDeclined' }),
  ],
  [
    'stripe',
    'held, captured in part, refunded by hand in two parts',
    async ({ stripe }, labels) => {
      const id = await charged(labels, { capture_method: 'manual' });
      await stripe.paymentIntents.capture(id, { amount_to_capture: 3_000 });
      await stripe.refunds.create({ payment_intent: id, amount: 1_000 });
      await stripe.refunds.create({ payment_intent: id, amount: 2_000 });
    },
  ],
  [
    'stripe',
    'held and let go',
    async ({ stripe }, labels) =>
      stripe.paymentIntents.cancel(await charged(labels, { capture_method: 'manual' })),
  ],
  [
    'stripe',
    'refunded, which bounces, and disputed and won',
    async ({ stripe, control }, labels) => {
      const id = await charged(labels);
      const { id: refund } = await stripe.refunds.create({ payment_intent: id, amount: 500 });
      await control('POST', `/refunds/${refund}/fail`);
      await disputed(id, 2_000, 'won');
    },
  ],
  [
    'stripe',
    'disputed and lost',
    async (_, labels) => disputed(await charged(labels), AMOUNT, 'lost'),
  ],
  ['razorpay', 'captured', (_, labels) => paid(labels)],
  [
    'razorpay',
    'refunded by hand, disputed and lost',
    async ({ razorpay }, labels) => {
      const id = await paid(labels);
      await razorpay.payments.refund(id, { amount: 1_000 });
      await disputed(id, 2_000, 'lost');
    },
  ],
];

/** What the rule makes of one webhook; it comes again where it waits for the payment. */
function heard(
  gateway: GatewayName,
  { id, body }: Told,
  ledger: PaymentLedger,
): Step | 'later' | null {
  const endpoint = `whi_${'0'.repeat(40)}`;
  const data = { gateway, endpoint, gateway_event_id: id, payload: body };
  const event: LedgerEvent = { tenant: 1, id, type: 'webhook.received', acceptedAt: 1, data };
  const { payment } = ledger;
  const state: State = {
    balance: () => 0,
    documents: () => [],
    // As payment_references_load finds it.
    record: <Body>(_: string, key: string) =>
      (payment?.reference && key === `${payment.gateway}/${payment.reference}`
        ? { payment_id: current, attempt: 1, currency: payment.currency }
        : null) as Body | null,
  };
  const decision = rule.decide(event, state);
  if (decision.verdict === 'defer') return 'later';
  if (decision.verdict === 'refuse') throw new Error(decision.reason);
  return (decision.followUps?.[0] as Step | undefined) ?? null;
}

function ended(gateway: GatewayName, payment_id: string, order: readonly (Told | Step)[]) {
  current = payment_id;
  const ledger = new PaymentLedger();
  const amount = { amount: AMOUNT, currency: money[gateway] };
  ledger.play(initiated({ payment_id, amount, gateways: [gateway] }));
  let waiting = [...order];
  while (waiting.length > 0) {
    const later: (Told | Step)[] = [];
    for (const each of waiting) {
      const step = 'body' in each ? heard(gateway, each as Told, ledger) : (each as Step);
      if (step === 'later') later.push(each);
      else if (step) ledger.play(step);
    }
    if (later.length === waiting.length) throw new Error('what waits will wait for ever');
    waiting = later;
  }
  return ledger;
}

describe.each(lives)('%s: %s', (gateway, name, life) => {
  test('ends the same in any order', async () => {
    const payment_id = `pay_${Bun.randomUUIDv7()}`;
    const before = new Set((await toldBy(gateway)).map(({ id }) => id));
    await life(world, { payment_id, attempt: '1' });
    const told: (Told | Step)[] = (await toldBy(gateway)).filter(({ id }) => !before.has(id));
    expect(told.length).toBeGreaterThan(1);
    const lines = (await world.settlement()).filter((line) => line.payment_id === payment_id);
    // What Stripe's webhooks never say, and the answer to the call does.
    const fee = Number(lines.find(({ type }) => type === 'charge')?.fee ?? 0);
    const captured = Number(lines.find(({ type }) => type === 'charge')?.amount ?? 0);
    const straight = ended(gateway, payment_id, told);
    const reference = straight.payment!.reference;
    const answer = { payment_id, news: 'captured', gateway, attempt: 1, reference };
    if (gateway === 'stripe' && captured > 0)
      told.push({ type: 'payment.reported', data: { ...answer, amount: captured, fee } });
    const expected = ended(gateway, payment_id, told);
    const owed = lines.reduce((sum, { net }) => sum + Number(net), 0);
    const clearing = `gateway:${gateway}:clearing ${money[gateway]}`;
    expect([name, 0 - (expected.balances.get(clearing) ?? 0)]).toEqual([name, owed]);

    const mixed = fc
      .array(fc.constantFrom(...told), { maxLength: 5 })
      .chain((again) =>
        fc.shuffledSubarray([...told, ...again], { minLength: told.length + again.length }),
      );
    fc.assert(
      fc.property(mixed, (order) => {
        const { payment, balances, waiting } = ended(gateway, payment_id, order);
        expect(waiting).toBe(0);
        expect(payment).toEqual(expected.payment!);
        expect(balances).toEqual(expected.balances);
      }),
      { numRuns: 60 },
    );
  });
});

async function toldBy(gateway: GatewayName): Promise<Told[]> {
  return await world.control<Told[]>('GET', `/objects/${gateway}/event?limit=-1`);
}
