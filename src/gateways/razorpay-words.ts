// What Razorpay's objects and errors say, in the words of gateway.ts, and ours in Razorpay's.
// Invariant: only an error of Razorpay's own is a refusal.
import { declineReasonOf } from '../../schemas/payments-declines.ts';
import { type ChargeRequest, type GatewayAnswer, GatewayRefused, noteOf } from './gateway.ts';
import type { WireAnswer } from './wire.ts';

export interface Payment {
  id: string;
  status: string;
  amount: number;
  fee?: number | null;
  error_reason?: string | null;
}

export interface Refund {
  id: string;
  status: string;
  amount: number;
  notes?: Readonly<Record<string, string>> | [];
}

export interface Order {
  id: string;
  created_at: number;
}

/** The order that is to be paid, and what became of the charge, where it was tried. */
export interface Known {
  order: string;
  paid: Payment | null;
}

const furthest = ['captured', 'refunded', 'authorized', 'created', 'failed'];

/** Of several payments of one receipt, the furthest is what became of it. */
export function furthestOf(payments: readonly Payment[]): Payment | null {
  const rank = ({ status }: Payment): number => furthest.indexOf(status);
  return payments.toSorted((a, b) => rank(a) - rank(b))[0] ?? null;
}

export function newsOf({
  id: reference,
  status,
  amount,
  fee,
  error_reason,
}: Payment): GatewayAnswer {
  if (status === 'captured' || status === 'refunded')
    return { news: 'captured', reference, amount, ...(fee && { fee }) };
  if (status === 'authorized') return { news: 'authorized', reference, amount };
  if (status !== 'failed') return null;
  const declineReason = declineReasonOf('razorpay', error_reason);
  return { news: 'failed', reference, amount: 0, declineReason };
}

export function refundNews(
  { status, amount }: Refund,
  subject: string,
  reference: string,
): GatewayAnswer {
  if (status === 'processed') return { news: 'refund_succeeded', reference, amount, subject };
  return status === 'failed' ? { news: 'refund_failed', reference, amount, subject } : null;
}

/** Receipts have 40 characters at most. */
export function receiptOf({ paymentId, attempt }: ChargeRequest): string {
  return `${compact(paymentId)}:${attempt}`;
}

/** Razorpay takes letters, digits, hyphens and underscores. */
export function refundKey(refundId: string, keysSpent: number): string {
  const key = refundId.replaceAll(':', '_');
  return keysSpent === 0 ? key : `${key}_${keysSpent}`;
}

/** It says so in a sentence only. */
export function isOfOtherWords(answer: WireAnswer): boolean {
  return /same idempotency key/i.test(String(errorOf(answer).description));
}

function compact(id: string): string {
  return id.replaceAll('-', '');
}

export function notesOf(request: ChargeRequest): object {
  const notes = { ...noteOf(request), tallyrace_key: request.key, customer_id: request.customerId };
  return request.orderId === null ? notes : { ...notes, order_id: request.orderId };
}

/** `cust_…:token_…` where the token belongs to a customer of Razorpay's. */
export function tokenOf(token: string): [token: string, customer: string | null] {
  const [, customer, of] = /^(cust_[^:]+):(.+)$/.exec(token) ?? [];
  return customer !== undefined && of !== undefined ? [of, customer] : [token, null];
}

export function accepted(answer: WireAnswer): WireAnswer {
  if (answer.status === 200) return answer;
  if (answer.status === 409) throw new Error('the gateway is at it already');
  throw refusalOf(answer);
}

/** Whatever is wrong with a look, it says nothing of what was looked for. */
export function lookedUp(answer: WireAnswer): WireAnswer {
  if (answer.status === 200) return answer;
  const refusal = refusalOf(answer);
  throw refusal.ofKey ? refusal : new Error(`could not look: ${answer.status}`);
}

export function refusalOf(answer: WireAnswer): GatewayRefused {
  const { code, reason } = errorOf(answer);
  const said = [answer.status, code, reason].filter((word) => word !== undefined).join(' ');
  const ofKey = answer.status === 401 || answer.status === 403;
  return new GatewayRefused('processing_error', `refused: ${said}`, ofKey);
}

export interface RazorpayError {
  code?: string;
  description?: string;
  reason?: string;
  metadata?: { payment_id?: string };
}

export function errorOf({ body }: WireAnswer): RazorpayError {
  const error = body['error'];
  return typeof error === 'object' && error !== null ? error : {};
}
