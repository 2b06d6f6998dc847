// Payments with many ends, for tests of what they add up to: as events, by a seeded die.
import type { TestEvent } from '../engine.ts';

export interface Dice {
  /** From 0 up to `n`, without it. */
  below(n: number): number;
}

/** Park and Miller's: the same seed, the same payments. */
export function dice(seed: number): Dice {
  let state = seed % 2_147_483_647 || 1;
  return { below: (n) => (state = (state * 48_271) % 2_147_483_647) % n };
}

const methods = ['card', 'upi', 'netbanking', 'wallet'];
const currencies = ['USD', 'INR', 'EUR'];
const reasons = ['card_declined', 'insufficient_funds', 'expired_card'];

/** What one payment goes through, in the order in which it happens. */
export function history(roll: Dice, initiatedMs: number): TestEvent[] {
  const one = <T>(all: readonly T[]): T => all[roll.below(all.length)]!;
  const payment_id = `pay_${Bun.randomUUIDv7()}`;
  const amount = 100 + roll.below(900_000);
  const decision = one(['allow', 'allow', 'allow', 'review', 'block']);
  const events: TestEvent[] = [];
  const add = (type: string, data: object): void => {
    events.push({ id: `${payment_id}:${events.length}`, type, data: { payment_id, ...data } });
  };
  const news = (kind: string, more: object): void => {
    const from = { news: kind, gateway: 'stripe', attempt: 1, reference: `pi_${payment_id}` };
    add('payment.reported', { ...from, amount: 0, ...more });
  };
  add('payment.initiated', {
    amount: { amount, currency: one(currencies) },
    customer_id: 'c_1',
    method: { type: one(methods), token: 'pm_card_visa' },
    capture: one(['automatic', 'automatic', 'manual']),
    gateways: ['stripe', 'razorpay'],
    risk: { score: 1, decision },
    actor: 'test',
    initiated_at: new Date(initiatedMs).toISOString(),
  });
  if (decision === 'block') return events;
  if (decision === 'review') {
    const verdict = one(['approved', 'rejected']);
    const by = { actor: 'test', reason: 'seen', reviewed_at: '2026-01-31T12:00:00Z' };
    add('payment.reviewed', { verdict, ...by });
    if (verdict === 'rejected') return events;
  }
  const end = roll.below(8);
  if (end === 0) {
    // Another gateway is tried, and the first one takes the money nevertheless.
    news('failed', { decline_reason: 'processing_error' });
    if (roll.below(2) === 0) news('captured', { amount, fee: 30 });
    return events;
  }
  if (end === 1) news('failed', { decline_reason: one(reasons) });
  if (end >= 2) news('authorized', { amount });
  if (end === 2) news('cancelled', {});
  if (end >= 4) news('captured', { amount, fee: roll.below(100) });
  if (end >= 5) refund(add, news, payment_id, 1 + roll.below(amount), one);
  if (end >= 6) dispute(news, payment_id, 1 + roll.below(amount), one);
  return events;
}

type Add = (type: string, data: object) => void;
type One = <T>(all: readonly T[]) => T;

/** Some of those that went through bounce: what they took out comes back. */
function refund(add: Add, news: Add, payment_id: string, amount: number, one: One): void {
  const refund_id = `rfd_${Bun.randomUUIDv7()}`;
  const asked = { refund_id, amount, actor: 'test', requested_at: '2026-01-31T12:00:00Z' };
  add('refund.requested', { payment_id, ...asked });
  const end = one(['asked', 'done', 'bounced']);
  if (end === 'asked') return;
  news('refund_succeeded', { amount, subject: refund_id });
  if (end === 'bounced') news('refund_failed', { amount, subject: refund_id });
}

function dispute(news: Add, payment_id: string, amount: number, one: One): void {
  const subject = `dp_${payment_id}`;
  news('dispute_opened', { amount, fee: 1_500, subject, due_by: '2026-02-07T12:00:00Z' });
  const end = one(['open', 'dispute_won', 'dispute_lost']);
  if (end !== 'open') news(end, { amount, subject });
}
