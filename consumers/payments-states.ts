// The life of a payment as one table: what each piece of news does in each state.
// Invariant: news moves a payment forward or not at all. Facts only grow (see applyNews), and the
// status follows from them, so that any order and any repetition of the same news ends the same.
import type { NewsKind } from '../schemas/payments-events.ts';
import type { PaymentStatus } from '../schemas/payments.ts';

/**
 * A status: the news moves the payment there. `by_sums`: to captured, partially_refunded, refunded
 * or disputed, as refunds and disputes say. `stale`: the payment is further already. `early`: what
 * it rests on has not come yet; it is tried again later. `stray`: money moved for a payment that
 * was given up; it goes back.
 */
export type Effect = PaymentStatus | 'by_sums' | 'stale' | 'early' | 'stray';

const early = {
  refund_succeeded: 'early',
  refund_failed: 'early',
  dispute_opened: 'early',
  dispute_won: 'early',
  dispute_lost: 'early',
} as const;
const refused = { capture_failed: 'stale', cancel_failed: 'stale' } as const;
const settled = {
  ...refused,
  authorized: 'stale',
  captured: 'by_sums',
  failed: 'stale',
  cancelled: 'stale',
  refund_succeeded: 'by_sums',
  refund_failed: 'by_sums',
  dispute_opened: 'by_sums',
  dispute_won: 'by_sums',
  dispute_lost: 'by_sums',
} as const;

export const newsTable: Record<PaymentStatus, Record<NewsKind, Effect>> = {
  requires_review: {
    ...early,
    ...refused,
    authorized: 'early',
    captured: 'early',
    failed: 'early',
    cancelled: 'early',
  },
  processing: {
    ...early,
    ...refused,
    authorized: 'authorized',
    captured: 'captured',
    failed: 'failed',
    cancelled: 'cancelled',
  },
  authorized: {
    ...early,
    // It stays as it is, and may be asked again.
    capture_failed: 'authorized',
    cancel_failed: 'authorized',
    authorized: 'stale',
    captured: 'captured',
    failed: 'stale',
    cancelled: 'cancelled',
  },
  captured: settled,
  partially_refunded: settled,
  refunded: settled,
  failed: {
    ...early,
    ...refused,
    // The shop was told that it failed, and its buyer may have paid again.
    authorized: 'stray',
    captured: 'captured',
    failed: 'stale',
    cancelled: 'stale',
  },
  cancelled: {
    ...early,
    ...refused,
    authorized: 'stale',
    captured: 'captured',
    failed: 'stale',
    cancelled: 'stale',
  },
  disputed: settled,
};

/** What people may ask for, and in which states; anything else is refused. */
export const commands = ['approve', 'reject', 'capture', 'cancel', 'refund', 'evidence'] as const;
export type Command = (typeof commands)[number];

export const commandTable: Record<Command, readonly PaymentStatus[]> = {
  approve: ['requires_review'],
  reject: ['requires_review'],
  capture: ['authorized'],
  cancel: ['requires_review', 'authorized'],
  refund: ['captured', 'partially_refunded'],
  evidence: ['disputed'],
};
