// What every gateway can do, in one vocabulary. The adapters speak HTTP; nobody else knows how.
// Invariants: every command carries our key, and the gateway does it once for each key. A method
// that throws has left us not knowing, unless it throws GatewayUnreachable.
import type { DeclineReason, GatewayName } from '../../schemas/payments.ts';
import type { NewsKind } from '../../schemas/payments-events.ts';

/** Nothing was sent: no connection was made. Another gateway may be asked at once. */
export class GatewayUnreachable extends Error {}

export interface ChargeRequest {
  /** Our key of this attempt, `pay_…:charge:1`: idempotency key, and kept in the gateway's object. */
  key: string;
  paymentId: string;
  attempt: number;
  /** Minor units. */
  amount: number;
  currency: string;
  method: { type: MethodTypeName; token: string };
  capture: 'automatic' | 'manual';
  customerId: string;
  orderId: string | null;
}
type MethodTypeName = 'card' | 'upi' | 'netbanking' | 'wallet';

/** What a gateway says of a payment. Amounts in minor units. */
export interface GatewayNews {
  news: NewsKind;
  reference: string;
  amount: number;
  fee?: number;
  declineReason?: DeclineReason;
  /** Of a refund: our refund's id, or `gateway:<its id>`; of a dispute: the gateway's id. */
  subject?: string;
  dueBy?: string;
}

/** Null: it has it, and does not know yet (asynchronous methods); a webhook or a later look tells. */
export type GatewayAnswer = GatewayNews | null;

export interface GatewayPayment {
  reference: string;
  amount: number;
  currency: string;
}

export interface Gateway {
  readonly name: GatewayName;
  charge(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer>;
  /** What became of a charge, by our key. `absent`: the gateway has never had it. */
  find(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer | 'absent'>;
  capture(key: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer>;
  cancel(key: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer>;
  /** `refundId` is ours, and the key. */
  refund(refundId: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer>;
}
