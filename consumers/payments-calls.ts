// The calls that a payment's rules ask for. Each has a key made of what it is for, so that the
// gateway (or the coupon book) does it once, however often it is asked.
import type { GatewayName } from '../schemas/payments.ts';
import type { LedgerEvent } from '../src/ledger/decision.ts';
import { type PaymentFacts, type StrayFacts, cancelKey, captureKey } from './payments-facts.ts';

/** A row of `effects`. `lane` is what it shares a bulkhead and a breaker with. */
export interface Call {
  key: string;
  kind: string;
  lane: string;
  data: object;
}

/** Of charges, for those who carry them out. Amounts in minor units. */
export interface ChargeCall {
  payment_id: string;
  attempt: number;
  gateway: GatewayName;
  amount: number;
  currency: string;
  method: PaymentFacts['method'];
  capture: PaymentFacts['capture'];
  customer_id: string;
  order_id: string | null;
  /** No other gateway would be tried after this one. */
  is_last: boolean;
}

export function chargeCall(
  { data }: LedgerEvent<{ payment_id: string }>,
  payment: PaymentFacts,
): Call {
  const { attempt, gateway, amount, currency, method, capture, customer_id, order_id } = payment;
  const payment_id = data.payment_id;
  const call: ChargeCall = {
    payment_id,
    attempt,
    gateway,
    amount,
    currency,
    method,
    capture,
    customer_id,
    order_id,
    is_last: attempt >= payment.gateways.length,
  };
  return {
    key: `${payment_id}:charge:${attempt}`,
    kind: 'charge',
    lane: `gateway:${gateway}`,
    data: call,
  };
}

export function captureCall(payment_id: string, payment: PaymentFacts, amount: number): Call {
  const data = { ...referenceOf(payment_id, payment), amount };
  return { key: captureKey(payment_id, payment), kind: 'capture', lane: laneOf(payment), data };
}

export function cancelCall(payment_id: string, payment: PaymentFacts): Call {
  const data = referenceOf(payment_id, payment);
  return { key: cancelKey(payment_id, payment), kind: 'cancel', lane: laneOf(payment), data };
}

export function refundCall(
  payment_id: string,
  payment: PaymentFacts,
  refund_id: string,
  amount: number,
): Call {
  const data = { ...referenceOf(payment_id, payment), refund_id, amount };
  return { key: refund_id, kind: 'refund', lane: laneOf(payment), data };
}

/** A hold is given back, a capture is refunded. */
export function strayCalls(
  payment_id: string,
  attempt: number,
  currency: string,
  before: StrayFacts | null,
  { gateway, reference, captured }: StrayFacts,
): Call[] {
  const lane = `gateway:${gateway}`;
  const data = { payment_id, attempt, gateway, reference, currency };
  const key = `${payment_id}:stray:${attempt}`;
  if (captured > 0 && (before?.captured ?? 0) === 0)
    return [{ key: `${key}:refund`, kind: 'refund', lane, data: { ...data, amount: captured } }];
  if (captured === 0 && !before) return [{ key: `${key}:cancel`, kind: 'cancel', lane, data }];
  return [];
}

/** What a change of status means for the coupons that the order has used. */
export function callsAfter(
  payment_id: string,
  before: PaymentFacts | null,
  after: PaymentFacts,
): Call[] {
  const id = after.redemption_id;
  if (!id || before?.status === after.status) return [];
  const call = (kind: string): Call => ({
    key: `${payment_id}:${kind}`,
    kind,
    lane: 'coupons',
    data: { redemption_id: id },
  });
  if (after.status === 'captured' && before?.captured === 0) return [call('redemption_commit')];
  if (after.status === 'failed' || after.status === 'cancelled')
    return [call('redemption_release')];
  return after.status === 'refunded' ? [call('redemption_return')] : [];
}

function referenceOf(payment_id: string, payment: PaymentFacts): object {
  const { attempt, gateway, reference, currency } = payment;
  return { payment_id, attempt, gateway, reference, currency };
}

function laneOf({ gateway }: PaymentFacts): string {
  return `gateway:${gateway}`;
}
