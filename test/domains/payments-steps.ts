// Steps of payments for tests of their rules: what is asked, what gateways say, and how a payment
// gets to each status.
import { PaymentInitiated } from '../../schemas/payments-events.ts';
import type { PaymentStatus } from '../../schemas/payments.ts';
import { PaymentLedger, type Step } from './payments-ledger.ts';

export const payment_id = 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
export const refund_id = 'rfd_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e06';
export const AMOUNT = 5_000;

export function initiated(more: object = {}): Step {
  const [example] = PaymentInitiated.examples;
  const amount = { amount: AMOUNT, currency: 'USD' };
  return { type: 'payment.initiated', data: { ...example, payment_id, amount, ...more } };
}

export function news(kind: string, more: object = {}): Step {
  const common = { payment_id, news: kind, gateway: 'stripe', attempt: 1, reference: 'pi_1' };
  return { type: 'payment.reported', data: { ...common, amount: AMOUNT, ...more } };
}

export const refund = (kind: string, amount: number, subject = refund_id) =>
  news(`refund_${kind}`, { amount, subject });
export const dispute = (kind: string) => news(`dispute_${kind}`, { subject: 'dp_1', fee: 1_500 });
export const asked = (type: string, more: object = {}): Step => {
  const data = { payment_id, actor: 'key:1', requested_at: '2026-01-31T12:00:00Z', ...more };
  return { type, data };
};
export const reviewed = (verdict: string): Step => ({
  type: 'payment.reviewed',
  data: { payment_id, verdict, actor: 'key:1', reason: 'seen', reviewed_at: '' } as never,
});

export const review = { risk: { score: 700, decision: 'review' } };
/** How a payment gets to each status. */
export const pathTo: Record<PaymentStatus, Step[]> = {
  requires_review: [initiated(review)],
  processing: [initiated()],
  authorized: [initiated(), news('authorized')],
  captured: [initiated(), news('captured', { fee: 100 })],
  partially_refunded: [initiated(), news('captured'), refund('succeeded', 1_000, 'rfd_a')],
  refunded: [initiated(), news('captured'), refund('succeeded', AMOUNT, 'rfd_a')],
  failed: [initiated(), news('failed', { decline_reason: 'card_declined' })],
  cancelled: [initiated(), news('authorized'), news('cancelled')],
  disputed: [initiated(), news('captured'), dispute('opened')],
};

export function played(steps: readonly Step[]): PaymentLedger {
  const ledger = new PaymentLedger();
  for (const step of steps) ledger.play(step);
  return ledger;
}
