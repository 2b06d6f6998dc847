// Rules of payments: the state machine over every pair of state and news, commands, what the books
// say, and that any order and repetition of the same news ends the same.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { refunded } from '../../consumers/payments-facts.ts';
import { commandTable, commands, newsTable } from '../../consumers/payments-states.ts';
import { newsKinds } from '../../schemas/payments-events.ts';
import { type PaymentStatus, paymentStatuses } from '../../schemas/payments.ts';
import type { Step } from './payments-ledger.ts';
import {
  AMOUNT,
  asked,
  dispute,
  initiated,
  news,
  pathTo,
  payment_id,
  played,
  refund,
  refund_id,
  reviewed,
} from './payments-steps.ts';

describe.each(paymentStatuses.map((status) => ({ status })))('$status', ({ status }) => {
  test('is reached', () => {
    expect(played(pathTo[status]).payment?.status).toBe(status);
  });

  test.each(newsKinds.map((kind) => ({ kind })))(
    'on $kind does what the table says',
    ({ kind }) => {
      const ledger = played(pathTo[status]);
      const before = structuredClone(ledger.payment!);
      const balances = new Map(ledger.balances);
      const step = kind.startsWith('refund') ? refund(kind.slice(7), 500) : news(kind, of(kind));
      const decision = ledger.play(step);
      const effect = newsTable[status][kind];
      expect(decision.verdict).toBe(effect === 'early' ? 'defer' : 'post');
      if (effect === 'early' || effect === 'stale') {
        expect(ledger.payment).toEqual(before);
        expect(ledger.balances).toEqual(balances);
      } else if (effect === 'stray') {
        expect(ledger.payment!.status).toBe(status);
        expect(ledger.calls.at(-1)).toMatchObject({ kind: 'cancel' });
      } else if (effect !== 'by_sums') {
        expect(ledger.payment!.status).toBe(effect);
      } else if (kind.startsWith('dispute') || status === 'disputed') {
        expect(ledger.payment!.status).toBe(disputedAfter(status, kind));
      } else {
        const back = refunded(ledger.payment!);
        const all = back >= ledger.payment!.captured;
        expect(ledger.payment!.status).toBe(
          back === 0 ? 'captured' : all ? 'refunded' : 'partially_refunded',
        );
      }
    },
  );

  test.each(commands.map((name) => ({ name })))('on $name asks or refuses', ({ name }) => {
    const ledger = played(pathTo[status]);
    const step = {
      approve: reviewed('approved'),
      reject: reviewed('rejected'),
      capture: asked('capture.requested', { amount: 100 }),
      cancel: asked('cancel.requested'),
      refund: asked('refund.requested', { refund_id, amount: 100 }),
      evidence: asked('evidence.submitted', {
        dispute_id: 'dp_1',
        submission_id: 'evd_1',
        items: [],
      }),
    }[name];
    const decision = ledger.play(step);
    if (commandTable[name].includes(status)) expect(decision.verdict).toBe('post');
    else expect(decision).toMatchObject({ verdict: 'refuse', reason: 'wrong_status' });
  });
});

/** Here there is one dispute at most: winning it leaves the payment as it was before. */
function disputedAfter(status: PaymentStatus, kind: string): PaymentStatus {
  if (kind !== 'dispute_won') return 'disputed';
  return status === 'disputed' ? 'captured' : status;
}

function of(kind: string): object {
  return kind.startsWith('dispute') ? { subject: 'dp_1', fee: 1_500 } : {};
}

describe('the books', () => {
  const balancesAfter = (...steps: Step[]) => Object.fromEntries(played(steps).balances);

  test('of an authorisation are a memo that the capture takes back', () => {
    expect(balancesAfter(initiated(), news('authorized'))).toEqual({
      'gateway:stripe:authorized USD': -5_000,
      'payments:authorized USD': 5_000,
    });
    expect(balancesAfter(initiated(), news('authorized'), news('captured', { fee: 175 }))).toEqual({
      'gateway:stripe:clearing USD': -4_825,
      'payments:sales USD': 5_000,
      'payments:fees USD': -175,
    });
  });

  test('of a refund, a dispute that is lost, and a payout', () => {
    const paid = {
      type: 'settlement.paid',
      data: {
        settlement_id: 'po_1',
        gateway: 'stripe',
        amount: { amount: 300, currency: 'USD' },
        paid_at: '',
      } as never,
    };
    const steps = [initiated(), news('captured'), refund('succeeded', 1_000)];
    const lost = [
      news('dispute_opened', { subject: 'd', amount: 4_000, fee: 15 }),
      news('dispute_lost', { subject: 'd', amount: 4_000 }),
    ];
    // The payout is told twice, and counts once.
    expect(balancesAfter(...steps, ...lost, paid, paid)).toEqual({
      'gateway:stripe:clearing USD': -5_000 + 1_000 + 4_000 + 15 + 300,
      'payments:sales USD': 5_000,
      'payments:refunds USD': -1_000,
      'payments:fees USD': -15,
      'payments:chargebacks USD': -4_000,
      'payments:bank USD': -300,
      'payments:settlements payouts': 1,
      'settlement:stripe:po_1 payouts': -1,
    });
  });

  test('of a dispute that is won are as they were, but for its fee', () => {
    expect(balancesAfter(...pathTo.disputed, dispute('won'))).toEqual({
      'gateway:stripe:clearing USD': -3_500,
      'payments:sales USD': 5_000,
      'payments:fees USD': -1_500,
    });
  });
});

describe('refunds', () => {
  const ask = (amount: number, id: string) => asked('refund.requested', { refund_id: id, amount });

  test('are granted up to what was captured, those under way included', () => {
    const ledger = played(pathTo.captured);
    expect(ledger.play(ask(3_000, 'rfd_1')).verdict).toBe('post');
    expect(ledger.play(ask(2_001, 'rfd_2'))).toMatchObject({ reason: 'amount_too_large' });
    expect(ledger.play(ask(2_000, 'rfd_3')).verdict).toBe('post');
    ledger.play(refund('failed', 3_000, 'rfd_1'));
    expect(ledger.play(ask(3_000, 'rfd_4')).verdict).toBe('post');
    expect(ledger.calls.map(({ key }) => key)).toEqual([
      `${payment_id}:charge:1`,
      'rfd_1',
      'rfd_3',
      'rfd_4',
    ]);
  });
});

describe('a redemption', () => {
  const redemption_id = 'rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
  const kinds = (...steps: Step[]) =>
    played([initiated({ redemption_id }), ...steps])
      .calls.map(({ kind }) => kind)
      .filter((kind) => kind.startsWith('redemption'));

  test('is committed by a capture, released by a failure, returned by a whole refund', () => {
    expect(kinds(news('captured'), news('captured'))).toEqual(['redemption_commit']);
    expect(kinds(news('failed'))).toEqual(['redemption_release']);
    expect(kinds(news('captured'), refund('succeeded', 100))).toEqual(['redemption_commit']);
    expect(kinds(news('captured'), refund('succeeded', AMOUNT))).toEqual([
      'redemption_commit',
      'redemption_return',
    ]);
  });
});

describe('another gateway', () => {
  const down = (attempt: number) =>
    news('failed', { attempt, decline_reason: 'no_gateway_available' });

  test('is tried where the first could not do it, once for each', () => {
    const ledger = played([initiated(), down(1), down(1)]);
    expect(ledger.payment).toMatchObject({ status: 'processing', attempt: 2, gateway: 'razorpay' });
    expect(ledger.calls.map(({ key }) => key)).toEqual([
      `${payment_id}:charge:1`,
      `${payment_id}:charge:2`,
    ]);
    ledger.play(down(2));
    expect(ledger.payment).toMatchObject({ status: 'failed' });
  });

  test('is not tried where the bank has refused', () => {
    expect(played(pathTo.failed).calls).toHaveLength(1);
  });
});

/** Histories that a gateway can have; news of each comes in any order, any of it several times. */
const histories: readonly (readonly Step[])[] = [
  [news('authorized'), news('captured', { fee: 175 })],
  [news('authorized'), news('cancelled')],
  [news('failed', { decline_reason: 'card_declined' })],
  [news('authorized'), news('captured', { amount: 3_000, fee: 90 }), refund('succeeded', 1_000)],
  [
    news('captured', { fee: 175 }),
    refund('succeeded', 1_000, 'rfd_a'),
    refund('failed', 500, 'rfd_b'),
    refund('succeeded', 4_000, 'rfd_c'),
  ],
  [news('captured'), refund('succeeded', 700), refund('failed', 700), dispute('opened')],
  [news('captured'), dispute('opened'), dispute('won'), refund('succeeded', AMOUNT)],
  [news('authorized'), news('captured'), dispute('opened'), dispute('lost')],
];

test('any order and repetition of the same news ends the same, with balanced books', () => {
  const shuffled = fc.constantFrom(...histories).chain((history) =>
    fc.tuple(
      fc.constant(history),
      fc
        .array(fc.constantFrom(...history), { maxLength: 6 })
        .chain((again) =>
          fc.shuffledSubarray([...history, ...again], { minLength: history.length + again.length }),
        ),
    ),
  );
  fc.assert(
    fc.property(shuffled, ([history, order]) => {
      const straight = played([initiated(), ...history]);
      const mixed = played([initiated(), ...order]);
      expect(mixed.waiting).toBe(0);
      expect(mixed.payment).toEqual(straight.payment!);
      expect(mixed.balances).toEqual(straight.balances);
      expect([...mixed.balances.values()].reduce((sum, amount) => sum + amount, 0)).toBe(0);
    }),
    { numRuns: 2_000 },
  );
});
