// Razorpay's entities as its API shows them. Notes without entries are `[]`, as there.
import type { Charge, Dispute, Intent, Labels, Line, Payout, Refund } from '../objects.ts';
import type { SandboxStore } from '../store.ts';
import { declines } from '../tokens.ts';
import { seconds } from '../wire.ts';

export type Entity = Record<string, unknown>;

const notesOf = (labels: Labels): Labels | [] => (Object.keys(labels).length > 0 ? labels : []);

export function orderEntity(order: Intent): Entity {
  const paid = order.status === 'succeeded' ? order.amount : 0;
  const tried = order.attempts > 0 ? 'attempted' : 'created';
  return {
    amount: order.amount,
    amount_due: order.amount - paid,
    amount_paid: paid,
    attempts: order.attempts,
    created_at: seconds(order.createdMs),
    currency: order.currency,
    entity: 'order',
    id: order.id,
    notes: notesOf(order.metadata),
    offer_id: null,
    receipt: order.receipt,
    status: order.status === 'succeeded' ? 'paid' : tried,
  };
}

function paymentStatus({ status, captured, refunded }: Charge): string {
  switch (status) {
    case 'action':
    case 'pending':
      return 'created';
    case 'captured':
      return refunded === captured ? 'refunded' : 'captured';
    case 'released':
      return 'refunded';
    default:
      return status;
  }
}

function refundStatus({ status, captured, refunded }: Charge): 'full' | 'partial' | null {
  if (status === 'released') return 'full';
  if (refunded === 0) return null;
  return refunded === captured ? 'full' : 'partial';
}

export function paymentEntity(charge: Charge): Entity {
  const isCard = charge.method === 'card';
  const decline = charge.decline ? declines[charge.decline]!.razorpay : null;
  const captured = charge.status === 'captured';
  return {
    id: charge.id,
    entity: 'payment',
    amount: charge.amount,
    currency: charge.currency,
    status: paymentStatus(charge),
    order_id: charge.intent,
    invoice_id: null,
    international: false,
    method: isCard ? 'card' : charge.method === 'us_bank_account' ? 'netbanking' : charge.method,
    amount_refunded: charge.status === 'released' ? charge.amount : charge.refunded,
    refund_status: refundStatus(charge),
    captured,
    description: null,
    card_id: isCard ? `card_${charge.id.slice(4)}` : null,
    bank: charge.method === 'netbanking' ? 'HDFC' : null,
    wallet: charge.method === 'wallet' ? 'payzapp' : null,
    vpa: charge.method === 'upi' ? charge.token.split('~')[0] : null,
    email: charge.email,
    contact: charge.contact,
    token_id: charge.token,
    notes: notesOf(charge.metadata),
    fee: captured ? charge.fee : null,
    tax: captured ? charge.tax : null,
    error_code: decline ? 'BAD_REQUEST_ERROR' : null,
    error_description: decline?.description ?? null,
    error_source: decline?.source ?? null,
    error_step: decline?.step ?? null,
    error_reason: decline?.reason ?? null,
    acquirer_data: isCard ? { auth_code: null } : {},
    created_at: seconds(charge.createdMs),
  };
}

const refundStatuses = { pending: 'pending', succeeded: 'processed', failed: 'failed' } as const;

export function refundEntity(refund: Refund): Entity {
  return {
    id: refund.id,
    entity: 'refund',
    amount: refund.amount,
    currency: refund.currency,
    payment_id: refund.charge,
    notes: notesOf(refund.metadata),
    receipt: refund.receipt,
    acquirer_data: { arn: null },
    created_at: seconds(refund.createdMs),
    batch_id: null,
    status: refundStatuses[refund.status],
    speed_processed: 'normal',
    speed_requested: 'normal',
  };
}

const disputeStatuses = {
  needs_response: 'open',
  under_review: 'under_review',
  won: 'won',
  lost: 'lost',
} as const;

export function disputeEntity(dispute: Dispute): Entity {
  return {
    id: dispute.id,
    entity: 'dispute',
    payment_id: dispute.charge,
    amount: dispute.amount,
    currency: dispute.currency,
    amount_deducted: dispute.status === 'won' ? 0 : dispute.amount,
    reason_code: dispute.reason,
    respond_by: seconds(dispute.dueMs),
    status: disputeStatuses[dispute.status],
    phase: 'chargeback',
    created_at: seconds(dispute.createdMs),
    evidence: { amount: dispute.amount, summary: null, ...dispute.evidence },
  };
}

export function settlementEntity(payout: Payout): Entity {
  return {
    id: payout.id,
    entity: 'settlement',
    amount: payout.amount,
    status: 'processed',
    fees: payout.fees,
    tax: payout.tax,
    // The real one pays out rupees only, and names no currency.
    ...(payout.currency !== 'INR' && { currency: payout.currency }),
    utr: payout.reference,
    created_at: seconds(payout.createdMs),
  };
}

const reconTypes: Record<Exclude<Line['type'], 'payout'>, string> = {
  charge: 'payment',
  refund: 'refund',
  refund_failure: 'adjustment',
  dispute: 'adjustment',
  dispute_reversal: 'adjustment',
};

/** A line of `settlements/recon/combined`. */
export function reconEntity(line: Line, payout: Payout, store: SandboxStore): Entity {
  const charge = store.get('charge', line.charge!)!;
  const order = store.get('intent', charge.intent)!;
  const isPayment = line.type === 'charge';
  const isDispute = line.type === 'dispute' || line.type === 'dispute_reversal';
  return {
    entity_id: line.source,
    type: reconTypes[line.type as keyof typeof reconTypes],
    debit: line.net < 0 ? -line.net : 0,
    credit: line.net > 0 ? line.net : 0,
    amount: Math.abs(line.amount),
    currency: line.currency,
    fee: line.fee,
    tax: line.tax,
    on_hold: false,
    settled: true,
    created_at: seconds(line.createdMs),
    settled_at: seconds(payout.createdMs),
    settlement_id: payout.id,
    posted_at: null,
    credit_type: 'default',
    description: null,
    notes: JSON.stringify(charge.metadata),
    payment_id: isPayment ? null : charge.id,
    settlement_utr: payout.reference,
    order_id: order.id,
    order_receipt: order.receipt,
    method: charge.method,
    card_network: charge.method === 'card' ? 'Visa' : null,
    card_issuer: null,
    card_type: charge.method === 'card' ? 'credit' : null,
    dispute_id: isDispute ? line.source : null,
  };
}

export function collection(items: readonly Entity[]): Entity {
  return { entity: 'collection', count: items.length, items };
}
