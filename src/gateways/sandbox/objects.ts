// What both gateways of the sandbox keep, in one vocabulary: an intent (a PaymentIntent or an
// order), its charges (a Charge or a payment), their refunds and disputes, and the lines of the
// account's statement. The wires render these; amounts are minor units, times milliseconds.
import type { GatewayName } from '../../../schemas/payments.ts';

export type Labels = Record<string, string>;

interface Stored {
  id: string;
  gateway: GatewayName;
  createdMs: number;
}

export interface Intent extends Stored {
  kind: 'intent';
  amount: number;
  /** Upper case. */
  currency: string;
  capture: 'automatic' | 'manual';
  status:
    | 'requires_payment_method'
    | 'requires_confirmation'
    | 'requires_action'
    | 'processing'
    | 'requires_capture'
    | 'succeeded'
    | 'canceled';
  metadata: Labels;
  receipt: string | null;
  description: string | null;
  customer: string | null;
  token: string | null;
  /** The charge tried last. */
  latest: string | null;
  attempts: number;
  canceledMs: number | null;
  cancelReason: string | null;
}

export interface Charge extends Stored {
  kind: 'charge';
  intent: string;
  status: 'action' | 'pending' | 'authorized' | 'captured' | 'failed' | 'released';
  amount: number;
  currency: string;
  captured: number;
  refunded: number;
  disputed: boolean;
  fee: number;
  tax: number;
  token: string;
  method: string;
  /** A key of `declines`. */
  decline: string | null;
  /** Its line on the statement, once captured. */
  line: string | null;
  metadata: Labels;
  email: string | null;
  contact: string | null;
}

export interface Refund extends Stored {
  kind: 'refund';
  charge: string;
  intent: string;
  amount: number;
  currency: string;
  status: 'pending' | 'succeeded' | 'failed';
  reason: string | null;
  receipt: string | null;
  metadata: Labels;
  line: string | null;
  failureLine: string | null;
}

export interface Dispute extends Stored {
  kind: 'dispute';
  charge: string;
  intent: string;
  amount: number;
  currency: string;
  fee: number;
  reason: string;
  status: 'needs_response' | 'under_review' | 'won' | 'lost';
  dueMs: number;
  evidence: Labels;
  submissions: number;
  lines: string[];
}

export type LineType =
  'charge' | 'refund' | 'refund_failure' | 'dispute' | 'dispute_reversal' | 'payout';

/** One line of the statement: `net` is what it adds to the balance, `amount` less `fee`. */
export interface Line extends Stored {
  kind: 'line';
  type: LineType;
  amount: number;
  /** Tax included. */
  fee: number;
  tax: number;
  net: number;
  currency: string;
  /** What it is of: a charge, refund, dispute or payout. */
  source: string;
  charge: string | null;
  /** Ours, from the metadata of the charge. */
  paymentId: string | null;
  payout: string | null;
}

export interface Payout extends Stored {
  kind: 'payout';
  amount: number;
  currency: string;
  fees: number;
  tax: number;
  line: string;
  reference: string;
}

/** Something told by webhook. `body` is the wire's own text, made when it happened. */
export interface Told extends Stored {
  kind: 'event';
  type: string;
  body: string;
}

export type SandboxObject = Intent | Charge | Refund | Dispute | Line | Payout | Told;
export type Kind = SandboxObject['kind'];
export type OfKind<K extends Kind> = Extract<SandboxObject, { kind: K }>;

/** What a gateway tells the world of; each wire has its own names for it. */
export type Happening =
  | { what: 'intent_created' | 'intent_canceled'; intent: Intent; charge: Charge | null }
  | {
      what:
        | 'charge_action'
        | 'charge_pending'
        | 'charge_authorized'
        | 'charge_captured'
        | 'charge_failed';
      intent: Intent;
      charge: Charge;
    }
  | {
      what: 'refund_created' | 'refund_succeeded' | 'refund_failed';
      charge: Charge;
      refund: Refund;
    }
  | {
      what: 'dispute_opened' | 'dispute_updated' | 'dispute_won' | 'dispute_lost';
      charge: Charge;
      dispute: Dispute;
    }
  | { what: 'payout_paid'; payout: Payout };

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Random, so that two sandboxes never give the same id to different things. */
export function newId(prefix: string, length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return prefix + Array.from(bytes, (byte) => alphabet[byte % alphabet.length]).join('');
}
