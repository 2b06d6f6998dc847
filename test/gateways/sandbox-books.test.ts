// The settlement file against what the APIs say: whatever is done in whatever order, both tell of
// the same money. Chance is drawn from a seed, which a failure prints.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { SettlementRow } from '../../src/gateways/sandbox/settlement-file.ts';
import { drawn } from '../../src/gateways/sandbox/chance.ts';
import { type World, sandboxWorld } from './sandbox-world.ts';

let world: World;
beforeAll(async () => {
  world = await sandboxWorld();
});
afterAll(() => world.stop());

const PAYMENTS = 60;
const STEPS = 200;
const tokens = [
  'pm_card_visa',
  'pm_card_visa',
  'pm_card_visa_chargeDeclined',
  'pm_card_refundFail',
  'pm_card_pendingRefund',
  'pm_card_createDispute',
  'success@razorpay',
  'failure@razorpay',
];

interface Seen {
  captured: number;
  refunded: number;
  disputed: number;
}
/** One payment at either gateway, asked and acted on by its API. */
interface Handle {
  seen(): Promise<Seen>;
  capture(): Promise<unknown>;
  refund(amount: number): Promise<unknown>;
  /** The id under which the control knows it. */
  reference: string;
}

type Opener = (
  world: World,
  paymentId: string,
  amount: number,
  token: string,
  manual: boolean,
) => Promise<Handle | null>;

const disputedOf = (disputes: readonly { amount: number; status: string }[]): number =>
  disputes
    .filter(({ status }) => status !== 'won')
    .reduce((sum, { amount }) => sum + Number(amount), 0);

const openers: Record<'stripe' | 'razorpay', Opener> = {
  async stripe({ stripe }, paymentId, amount, token, manual) {
    const { id } = await stripe.paymentIntents.create({
      amount,
      currency: 'usd',
      payment_method: token,
      capture_method: manual ? 'manual' : 'automatic',
      metadata: { payment_id: paymentId },
    });
    await stripe.paymentIntents.confirm(id).catch(() => null);
    return {
      reference: id,
      capture: () => stripe.paymentIntents.capture(id, { amount_to_capture: amount - 1 }),
      refund: (part) => stripe.refunds.create({ payment_intent: id, amount: part }),
      async seen() {
        const intent = await stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });
        const charge = intent.latest_charge as { amount_refunded: number } | null;
        const { data } = await stripe.disputes.list({ payment_intent: id });
        return {
          captured: intent.amount_received,
          refunded: intent.amount_received > 0 ? charge!.amount_refunded : 0,
          disputed: disputedOf(data),
        };
      },
    };
  },
  async razorpay({ razorpay }, paymentId, amount, token, manual) {
    const order = await razorpay.orders.create({
      amount,
      currency: 'INR',
      notes: { payment_id: paymentId },
      payment: {
        capture: manual ? 'manual' : 'automatic',
        capture_options: {
          automatic_expiry_period: 12,
          manual_expiry_period: 7_200,
          refund_speed: 'normal',
        },
      },
    });
    const made = await razorpay.payments
      .createRecurringPayment({
        ...{ amount, currency: 'INR', order_id: order.id, token, recurring: '1', notes: {} },
        ...{ customer_id: 'cust_1', email: 'buyer@example.com', contact: '9000090000' },
      })
      .catch(() => null);
    if (!made) return null;
    const id = made.razorpay_payment_id!;
    return {
      reference: id,
      capture: () => razorpay.payments.capture(id, amount, 'INR'),
      refund: (part) => razorpay.payments.refund(id, { amount: part }),
      async seen() {
        const payment = await razorpay.payments.fetch(id);
        const { items } = await razorpay.disputes.all({ count: 100 });
        return {
          captured: payment.captured ? Number(payment.amount) : 0,
          refunded: payment.amount_refunded!,
          disputed: disputedOf(items.filter(({ payment_id }) => payment_id === id)),
        };
      },
    };
  },
};

describe.each(['stripe', 'razorpay'] as const)('%s', (gateway) => {
  test('the settlement file tells of each payment what the API tells', async () => {
    const seed = Date.now();
    const chance = (what: string): number => drawn(seed, gateway, what);
    const pick = (what: string, many: number): number => Math.floor(chance(what) * many);
    await world.control('PATCH', '/settings', { [gateway]: { pending_ms: 5 } });
    const handles = new Map<string, Handle>();
    for (let index = 0; index < PAYMENTS; index++) {
      const amount = 2 + pick(`amount ${index}`, 10_000);
      const token = tokens[pick(`token ${index}`, tokens.length)]!;
      const manual = chance(`manual ${index}`) < 0.3;
      const id = `pay_${gateway}_${index}`;
      const handle = await openers[gateway](world, id, amount, token, manual);
      if (handle) handles.set(id, handle);
    }
    for (let step = 0; step < STEPS; step++) await act([...handles.values()], step, pick);
    await settled();
    const lines = await statement();
    for (const row of lines) expect(Number(row.net)).toBe(Number(row.amount) - Number(row.fee));
    for (const [id, handle] of handles) {
      const own = lines.filter(({ payment_id }) => payment_id === id);
      expect([seed, id, sums(own)]).toEqual([seed, id, await handle.seen()]);
    }
    await paidOut();
  }, 30_000);

  /** Whatever may be refused may be tried. */
  async function act(
    handles: readonly Handle[],
    step: number,
    pick: (what: string, many: number) => number,
  ): Promise<void> {
    const handle = handles[pick(`which ${step}`, handles.length)]!;
    const control = (route: string, body?: object) =>
      world.control<{ id: string }>('POST', route, body);
    const acts: (() => Promise<unknown>)[] = [
      () => handle.capture(),
      () => handle.refund(1 + pick(`part ${step}`, 3_000)),
      () => handle.refund(1 + pick(`part ${step}`, 3_000)),
      async () => {
        const { id } = await control('/disputes', { payment: handle.reference });
        if (pick(`open ${step}`, 3) > 0)
          await control(`/disputes/${id}/${pick(`end ${step}`, 2) ? 'won' : 'lost'}`);
      },
      () =>
        pick(`payout ${step}`, 5) === 0 ? control('/payouts', { gateway }) : Promise.resolve(),
    ];
    await acts[pick(`act ${step}`, acts.length)]!().catch(() => null);
  }

  /** Until nothing waits to be decided. */
  async function settled(): Promise<void> {
    for (const kind of ['charge', 'refund'])
      for (;;) {
        const found = await world.control<{ status: string; createdMs: number }[]>(
          'GET',
          `/objects/${gateway}/${kind}?limit=1000`,
        );
        const last = Math.max(...found.map(({ createdMs }) => createdMs));
        const waits = found.some(({ status }) => status === 'pending');
        // Refunds that bounce do so a moment after they went through.
        if (!waits && Date.now() - last > 300) break;
        await Bun.sleep(20);
      }
  }

  const statement = async (): Promise<SettlementRow[]> =>
    (await world.settlement()).filter((row) => row.gateway === gateway);

  async function paidOut(): Promise<void> {
    // Refunds and disputes after a payout may have left less than nothing.
    await openers[gateway](world, 'pay_large', 50_000_000, 'pm_card_visa', false);
    const open = (await statement()).filter(({ settlement_id }) => settlement_id === '');
    const balance = open.reduce((sum, { net }) => sum + Number(net), 0);
    expect(balance).toBeGreaterThan(0);
    const [payout] = await world.control<{ amount: number }[]>('POST', '/payouts', { gateway });
    expect(payout!.amount).toBe(balance);
    const rows = await statement();
    expect(rows.every(({ settlement_id }) => settlement_id !== '')).toBe(true);
    expect(rows.reduce((sum, { net }) => sum + Number(net), 0)).toBe(0);
  }
});

function sums(lines: readonly SettlementRow[]): Seen {
  const of = (...types: string[]): number =>
    lines
      .filter(({ type }) => types.includes(type))
      .reduce((sum, { amount }) => sum + Number(amount), 0);
  return {
    captured: of('charge'),
    refunded: 0 - of('refund', 'refund_failure'),
    disputed: 0 - of('dispute', 'dispute_reversal'),
  };
}
