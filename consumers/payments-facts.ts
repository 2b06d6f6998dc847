// What is known of a payment, how news adds to it, and what the books say of it.
// Invariant: the books are a function of the facts. A posting is the difference between the books
// before and after, so whatever order the news came in, the same facts leave the same balances.
import type { Static } from '@sinclair/typebox';
import type { NewsKind, PaymentInitiated, PaymentReported } from '../schemas/payments-events.ts';
import type { DeclineReason, GatewayName, PaymentStatus } from '../schemas/payments.ts';
import type { Leg } from '../src/ledger/decision.ts';
import { type DisputeFacts, withDisputeNews } from './payments-disputes.ts';

export type Initiated = Static<(typeof PaymentInitiated)['data']>;
export type Reported = Static<(typeof PaymentReported)['data']>;

export interface RefundFacts {
  amount: number;
  status: 'pending' | 'succeeded' | 'failed';
}

/** Money of a try that was given up, which its gateway moved nevertheless. */
export interface StrayFacts {
  gateway: GatewayName;
  reference: string;
  captured: number;
  fee: number;
  refunded: number;
}

/** The row of a payment. Amounts in minor units of `currency`. */
export interface PaymentFacts {
  status: PaymentStatus;
  amount: number;
  currency: string;
  customer_id: string;
  method: Initiated['method'];
  capture: 'automatic' | 'manual';
  /** Those to try, in order; `attempt` counts from 1. */
  gateways: readonly GatewayName[];
  attempt: number;
  gateway: GatewayName;
  reference: string | null;
  /** What is held, while nothing is captured. */
  authorized: number;
  /** Asked to be captured; 0 when nothing was. */
  capture_asked: number;
  cancel_asked: boolean;
  /** How often each was asked for: the next has a key of its own. */
  capture_tries: number;
  cancel_tries: number;
  captured: number;
  /** The ingress's clock when that was first known; null until then. */
  captured_ms: number | null;
  fee: number;
  refunds: Readonly<Record<string, RefundFacts>>;
  disputes: Readonly<Record<string, DisputeFacts>>;
  /** By attempt. */
  strays: Readonly<Record<number, StrayFacts>>;
  decline_reason: DeclineReason | null;
  order_id: string | null;
  redemption_id: string | null;
  metadata: Initiated['metadata'] | null;
  risk: Initiated['risk'];
  initiated_at: string;
  /** The ingress's clock at the last event that counted, ms since the epoch. */
  updated_ms: number;
}

export function refunded({ refunds }: PaymentFacts): number {
  return sumOf(refunds, 'succeeded');
}

export function refundPending({ refunds }: PaymentFacts): number {
  return sumOf(refunds, 'pending');
}

/** What may still be asked back. */
export function refundable(payment: PaymentFacts): number {
  return payment.captured - refunded(payment) - refundPending(payment);
}

export function statusBySums(payment: PaymentFacts): PaymentStatus {
  const isOpen = Object.values(payment.disputes).some(({ status }) => status !== 'won');
  if (isOpen) return 'disputed';
  const back = refunded(payment);
  if (back === 0) return 'captured';
  return back < payment.captured ? 'partially_refunded' : 'refunded';
}

/** The facts with one piece of news added. Adding it again, or older news, changes nothing. */
export function withNews(payment: PaymentFacts, news: Reported): PaymentFacts {
  const { gateway, reference } = news;
  return { ...payment, gateway, reference, ...factsOf[news.news](payment, news) };
}

type Change = Partial<PaymentFacts>;

const nothingAsked = { capture_asked: 0, cancel_asked: false };

/** Of the last one that was asked for. */
export function captureKey(id: string, { capture_tries: tries }: PaymentFacts): string {
  return `${id}:capture:${tries}`;
}

export function cancelKey(id: string, { cancel_tries: tries }: PaymentFacts): string {
  return `${id}:cancel:${tries}`;
}

const factsOf: Record<NewsKind, (payment: PaymentFacts, news: Reported) => Change> = {
  authorized: ({ authorized }, { amount }) => ({
    authorized: Math.max(authorized, amount),
    decline_reason: null,
  }),
  captured: ({ captured, fee }, news) => ({
    ...nothingAsked,
    authorized: 0,
    captured: Math.max(captured, news.amount),
    fee: Math.max(fee, news.fee ?? 0),
    decline_reason: null,
  }),
  failed: (_, { decline_reason: reason }) => ({ decline_reason: reason ?? 'processing_error' }),
  cancelled: () => ({ ...nothingAsked, authorized: 0, decline_reason: null }),
  capture_failed: (payment, { payment_id: id, subject, decline_reason: reason }) =>
    subject === captureKey(id, payment)
      ? { capture_asked: 0, decline_reason: reason ?? 'processing_error' }
      : {},
  cancel_failed: (payment, { payment_id: id, subject }) =>
    subject === cancelKey(id, payment) ? { cancel_asked: false } : {},
  refund_succeeded: (payment, news) => refundChange(payment, news, 'succeeded'),
  refund_failed: (payment, news) => refundChange(payment, news, 'failed'),
  dispute_opened: ({ disputes }, news) => ({ disputes: withDisputeNews(disputes, news, 'open') }),
  dispute_won: ({ disputes }, news) => ({ disputes: withDisputeNews(disputes, news, 'won') }),
  dispute_lost: ({ disputes }, news) => ({ disputes: withDisputeNews(disputes, news, 'lost') }),
};

const refundOrder = ['pending', 'succeeded', 'failed'] as const;

/** A refund that went through may still bounce; one that failed does not come back. */
function refundChange(
  { refunds }: PaymentFacts,
  { subject, reference, amount }: Reported,
  status: RefundFacts['status'],
): Change {
  const id = subject ?? `gateway:${reference}`;
  const known = refunds[id];
  if (known && refundOrder.indexOf(known.status) >= refundOrder.indexOf(status)) return {};
  return { refunds: { ...refunds, [id]: { amount: known?.amount ?? amount, status } } };
}

/** A stray with one piece of news added; the same one when nothing changes. */
export function withStrayNews(
  known: StrayFacts | null,
  { news, gateway, reference, amount, fee = 0 }: Reported,
): StrayFacts | null | 'early' {
  const stray = known ?? { gateway, reference, captured: 0, fee: 0, refunded: 0 };
  if (news === 'authorized') return stray;
  if (news === 'captured') {
    if (amount <= stray.captured && fee <= stray.fee) return known;
    return {
      ...stray,
      captured: Math.max(stray.captured, amount),
      fee: Math.max(stray.fee, fee),
    };
  }
  // A dispute waits until somebody looks at its dead letter.
  if (news.startsWith('dispute')) return 'early';
  if (news !== 'refund_succeeded') return known;
  if (stray.captured === 0) return 'early';
  return amount <= stray.refunded ? known : { ...stray, refunded: amount };
}

/** Legs that bring the books from what was known to what is known now. */
export function postingOf(before: PaymentFacts | null, after: PaymentFacts): Leg[] {
  const books = booksOf(after);
  for (const [account, amount] of before ? booksOf(before) : [])
    books.set(account, (books.get(account) ?? 0) - amount);
  return [...books]
    .filter(([, amount]) => amount !== 0)
    .map(([account, amount]) => ({ account, unit: after.currency, amount }));
}

/**
 * The T-accounts of one payment; docs/payments.md draws them. Signs are those of the whole ledger:
 * what is ours is positive where it comes to rest, what a gateway owes us is negative there.
 */
function booksOf(payment: PaymentFacts): Map<string, number> {
  const books = new Map<string, number>();
  const move = (from: string, to: string, amount: number): void => {
    books.set(from, (books.get(from) ?? 0) - amount);
    books.set(to, (books.get(to) ?? 0) + amount);
  };
  const clearing = `gateway:${payment.gateway}:clearing`;
  if (payment.status === 'authorized')
    move(`gateway:${payment.gateway}:authorized`, 'payments:authorized', payment.authorized);
  move(clearing, 'payments:sales', payment.captured);
  move('payments:fees', clearing, payment.fee);
  move('payments:refunds', clearing, refunded(payment));
  for (const { amount, fee, status } of Object.values(payment.disputes)) {
    move('payments:fees', clearing, fee);
    if (status === 'open') move('payments:disputed', clearing, amount);
    if (status === 'lost') move('payments:chargebacks', clearing, amount);
  }
  for (const { gateway, captured, fee, refunded: back } of Object.values(payment.strays)) {
    const its = `gateway:${gateway}:clearing`;
    move(its, 'payments:strays', captured - back);
    move('payments:fees', its, fee);
  }
  return books;
}

function sumOf(refunds: PaymentFacts['refunds'], status: RefundFacts['status']): number {
  let sum = 0;
  for (const refund of Object.values(refunds)) if (refund.status === status) sum += refund.amount;
  return sum;
}
