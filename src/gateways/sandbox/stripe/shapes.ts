// Stripe's objects as its API shows them. Fields that this sandbox has nothing for are null, so
// that readers meet the whole shape. References are ids; `expanded` puts objects in their place.
import type { Charge, Dispute, Intent, Line, Payout, Refund, SandboxObject } from '../objects.ts';
import type { SandboxStore } from '../store.ts';
import { seconds } from '../wire.ts';
import { cardError, declineOf } from './errors.ts';

export type Shape = Record<string, unknown>;

const openAmount = ({ status, amount }: Intent): number =>
  status === 'requires_capture' ? amount : 0;

export function intentShape(intent: Intent, store: SandboxStore): Shape {
  const latest = intent.latest ? store.get('charge', intent.latest) : null;
  const failed = latest?.status === 'failed';
  const waits = latest?.status === 'action';
  const captured = latest?.status === 'captured' ? latest.captured : 0;
  return {
    id: intent.id,
    object: 'payment_intent',
    amount: intent.amount,
    amount_capturable: openAmount(intent),
    amount_received: captured,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: intent.canceledMs === null ? null : seconds(intent.canceledMs),
    cancellation_reason: intent.cancelReason,
    capture_method: intent.capture,
    client_secret: `${intent.id}_secret_sandbox`,
    confirmation_method: 'automatic',
    created: seconds(intent.createdMs),
    currency: intent.currency.toLowerCase(),
    customer: intent.customer,
    description: intent.description,
    last_payment_error: failed ? cardError(latest) : null,
    latest_charge: latest && !waits ? latest.id : null,
    livemode: false,
    metadata: intent.metadata,
    next_action: waits ? { type: 'use_stripe_sdk', use_stripe_sdk: {} } : null,
    on_behalf_of: null,
    payment_method: failed ? null : intent.token,
    payment_method_options: {},
    payment_method_types: ['card'],
    processing: null,
    receipt_email: null,
    setup_future_usage: null,
    shipping: null,
    source: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: intent.status,
    transfer_data: null,
    transfer_group: null,
  };
}

const chargeStatus = { captured: 'succeeded', authorized: 'succeeded', failed: 'failed' } as const;

export function chargeShape(charge: Charge): Shape {
  const { status } = charge;
  const decline = status === 'failed' ? declineOf(charge) : null;
  const paid = status === 'captured' || status === 'authorized';
  return {
    id: charge.id,
    object: 'charge',
    amount: charge.amount,
    amount_captured: charge.captured,
    amount_refunded: charge.refunded + (status === 'released' ? charge.amount : 0),
    balance_transaction: charge.line,
    billing_details: { address: null, email: charge.email, name: null, phone: null },
    captured: status === 'captured',
    created: seconds(charge.createdMs),
    currency: charge.currency.toLowerCase(),
    customer: null,
    description: null,
    disputed: charge.disputed,
    failure_balance_transaction: null,
    failure_code: decline?.code ?? null,
    failure_message: decline?.message ?? null,
    fraud_details: {},
    livemode: false,
    metadata: charge.metadata,
    outcome: {
      network_status: decline ? 'declined_by_network' : 'approved_by_network',
      reason: decline?.declineCode ?? null,
      risk_level: 'normal',
      risk_score: 12,
      seller_message: decline
        ? 'The bank did not return any further details.'
        : 'Payment complete.',
      type: decline ? 'issuer_declined' : 'authorized',
    },
    paid,
    payment_intent: charge.intent,
    payment_method: charge.token,
    payment_method_details: methodDetails(charge),
    receipt_email: null,
    refunded: charge.captured > 0 ? charge.refunded === charge.captured : status === 'released',
    status:
      status === 'released'
        ? 'succeeded'
        : ((chargeStatus as Record<string, string>)[status] ?? 'pending'),
  };
}

function methodDetails({ method }: Charge): Shape {
  if (method !== 'card') return { type: method, [method]: {} };
  const card = {
    brand: 'visa',
    country: 'US',
    exp_month: 12,
    exp_year: 2034,
    funding: 'credit',
    last4: '4242',
    network: 'visa',
  };
  return { type: 'card', card };
}

export function refundShape(refund: Refund): Shape {
  return {
    id: refund.id,
    object: 'refund',
    amount: refund.amount,
    balance_transaction: refund.line,
    charge: refund.charge,
    created: seconds(refund.createdMs),
    currency: refund.currency.toLowerCase(),
    destination_details: { card: { type: 'refund' }, type: 'card' },
    failure_balance_transaction: refund.failureLine ?? undefined,
    failure_reason: refund.status === 'failed' ? 'expired_or_canceled_card' : undefined,
    metadata: refund.metadata,
    payment_intent: refund.intent,
    reason: refund.reason,
    receipt_number: null,
    source_transfer_reversal: null,
    status: refund.status,
    transfer_reversal: null,
  };
}

export function disputeShape(dispute: Dispute, store: SandboxStore): Shape {
  return {
    id: dispute.id,
    object: 'dispute',
    amount: dispute.amount,
    balance_transactions: dispute.lines.map((id) => lineShape(store.get('line', id)!)),
    charge: dispute.charge,
    created: seconds(dispute.createdMs),
    currency: dispute.currency.toLowerCase(),
    evidence: dispute.evidence,
    evidence_details: {
      due_by: seconds(dispute.dueMs),
      has_evidence: Object.keys(dispute.evidence).length > 0,
      past_due: false,
      submission_count: dispute.submissions,
    },
    is_charge_refundable: false,
    livemode: false,
    metadata: {},
    payment_intent: dispute.intent,
    reason: dispute.reason,
    status: dispute.status,
  };
}

const lineNames: Record<Line['type'], [type: string, category: string]> = {
  charge: ['charge', 'charge'],
  refund: ['refund', 'refund'],
  refund_failure: ['refund_failure', 'refund_failure'],
  dispute: ['adjustment', 'dispute'],
  dispute_reversal: ['adjustment', 'dispute_reversal'],
  payout: ['payout', 'payout'],
};

export function lineShape(line: Line): Shape {
  const [type, reporting_category] = lineNames[line.type];
  const { fee, amount, net } = line;
  const currency = line.currency.toLowerCase();
  const detail = {
    amount: fee,
    application: null,
    currency,
    description: line.type === 'dispute' ? 'Dispute fee' : 'Stripe processing fees',
    type: 'stripe_fee',
  };
  return {
    id: line.id,
    object: 'balance_transaction',
    amount,
    available_on: seconds(line.createdMs),
    created: seconds(line.createdMs),
    currency,
    description: null,
    exchange_rate: null,
    fee,
    fee_details: fee === 0 ? [] : [detail],
    net,
    reporting_category,
    source: line.source,
    status: 'available',
    type,
  };
}

export function payoutShape(payout: Payout): Shape {
  return {
    id: payout.id,
    object: 'payout',
    amount: payout.amount,
    arrival_date: seconds(payout.createdMs),
    automatic: true,
    balance_transaction: payout.line,
    created: seconds(payout.createdMs),
    currency: payout.currency.toLowerCase(),
    description: 'STRIPE PAYOUT',
    destination: 'ba_sandbox',
    failure_balance_transaction: null,
    failure_code: null,
    failure_message: null,
    livemode: false,
    metadata: {},
    method: 'standard',
    reconciliation_status: 'completed',
    source_type: 'card',
    statement_descriptor: null,
    status: 'paid',
    type: 'bank_account',
  };
}

export function shapeOf(object: SandboxObject, store: SandboxStore): Shape {
  switch (object.kind) {
    case 'intent':
      return intentShape(object, store);
    case 'charge':
      return chargeShape(object);
    case 'refund':
      return refundShape(object);
    case 'dispute':
      return disputeShape(object, store);
    case 'line':
      return lineShape(object);
    case 'payout':
      return payoutShape(object);
    case 'event':
      return JSON.parse(object.body) as Shape;
  }
}
