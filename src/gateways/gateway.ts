// What every gateway can do, in one vocabulary for all. The adapters speak HTTP; nobody else knows
// how.
// Invariants: every command carries our key, and the gateway does it once for each key. A method
// that throws has left us not knowing, unless it throws one of the errors below.
import type { DeclineReason, GatewayName } from '../../schemas/payments.ts';
import type { NewsKind } from '../../schemas/payments-events.ts';
import type { DisputeAnswer } from './evidence.ts';

/** Nothing was charged, and the gateway is to blame: no connection, or it failed before the step
 * that moves money. Another gateway may be asked at once. */
export class GatewayUnreachable extends Error {}

/** It was understood and refused, and nothing was done. Repeating it would change nothing. */
export class GatewayRefused extends Error {
  constructor(
    readonly reason: DeclineReason,
    said: string,
    /** It was our key that it refused, so it has said nothing of the payment. */
    readonly ofKey = false,
  ) {
    super(said);
  }
}

/** Our key for it brings nothing but an old failure any more, or was used in other words, and
 * nothing was found of it: it may be tried under another key, once that was looked at again. */
export class GatewayKeySpent extends Error {}

/** It was turned away before anything was done; later it may do. */
export class GatewayBusy extends Error {
  constructor(readonly afterMs: number) {
    super('the gateway asks for patience');
  }
}

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
  askedAt: Date;
  /** Nothing can be there. Later tries look, even where nobody can have been charged. */
  first: boolean;
  /** An earlier try may have been carried out: what it left is looked up, and gone on with. */
  again: boolean;
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

/** A payment that the gateway knows, and what is to be done with how much of it. */
export interface GatewayPayment {
  paymentId: string;
  attempt: number;
  reference: string;
  amount: number;
  currency: string;
  /** Asked for before: it may be done already. */
  again: boolean;
  /** How many of our keys for it are spent. */
  keysSpent: number;
}

export interface Gateway {
  readonly name: GatewayName;
  charge(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer>;
  /** What became of a charge, by our key. `absent`: nobody was charged under it. */
  find(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer | 'absent'>;
  capture(key: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer>;
  cancel(key: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer>;
  /** `refundId` is ours, and the key. */
  refund(refundId: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer>;
  /** Hands it in, once. Throws GatewayRefused where the gateway does not take it. */
  answerDispute(key: string, answer: DisputeAnswer, signal: AbortSignal): Promise<void>;
}

/** What is kept with the gateway's objects, so that its webhooks and files name our payment. */
export function noteOf({ paymentId, attempt }: { paymentId: string; attempt: number }) {
  return { payment_id: paymentId, attempt: String(attempt) };
}
