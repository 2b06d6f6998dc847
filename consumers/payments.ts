// Rules of payments: what was asked for and what gateways report, turned into facts, postings and
// calls to make. A rule never calls anybody: it writes a row of `effects`, which an effect worker
// carries out under the row's own key.
// Invariant: a call has one key for ever, so asking twice for the same has one effect outside.
import type { Static } from '@sinclair/typebox';
import type {
  DisputeReminded,
  EvidenceReported,
  EvidenceSubmitted,
} from '../schemas/payments-disputes.ts';
import type {
  CancelRequested,
  CaptureRequested,
  PaymentReviewed,
  RefundRequested,
} from '../schemas/payments-events.ts';
import { type DeclineReason, type PaymentStatus, capturesPart } from '../schemas/payments.ts';
import {
  type Decision,
  type LedgerEvent,
  type Rule,
  post,
  refuse,
} from '../src/ledger/decision.ts';
import { captureCall, cancelCall, chargeCall, refundCall, strayCalls } from './payments-calls.ts';
import { answerEvidence, remindOfDispute, submitEvidence } from './payments-disputes.ts';
import {
  type Initiated,
  type PaymentFacts,
  type Reported,
  refundable,
  statusBySums,
  withNews,
  withStrayNews,
} from './payments-facts.ts';
import { riskOf, riskRows } from './payments-risk.ts';
import { command, noted, readsPayment, recordOf, saved } from './payments-saving.ts';
import { settlementPaid } from './payments-settlements.ts';
import { newsTable } from './payments-states.ts';

/** A gateway that could not do it at all: another may. Anything else is the buyer's bank's word. */
const tryElsewhere: readonly (DeclineReason | undefined)[] = [
  'processing_error',
  'no_gateway_available',
];

const paymentInitiated: Rule<Initiated> = {
  type: 'payment.initiated',
  reads: readsPayment,
  decide(event, state) {
    const { data } = event;
    if (recordOf(event, state)) return refuse('already_initiated');
    const status = firstStatus[data.risk.decision];
    const payment = initialFacts(data, status, event.acceptedAt);
    const calls = status === 'processing' ? [chargeCall(event, payment)] : [];
    return saved(event, null, payment, calls, riskRows(event));
  },
};

const firstStatus = { allow: 'processing', review: 'requires_review', block: 'failed' } as const;

const paymentReviewed = command<Static<(typeof PaymentReviewed)['data']>>({
  type: 'payment.reviewed',
  commandOf: ({ verdict }) => (verdict === 'approved' ? 'approve' : 'reject'),
  act(payment, event) {
    if (event.data.verdict === 'approved') {
      const after: PaymentFacts = { ...payment, status: 'processing' };
      return { after, calls: [chargeCall(event, after)] };
    }
    return {
      after: { ...payment, status: 'failed', decline_reason: 'rejected_in_review' },
      calls: [],
    };
  },
});

const captureRequested = command<Static<(typeof CaptureRequested)['data']>>({
  type: 'capture.requested',
  commandOf: () => 'capture',
  act(payment, { data }) {
    const { payment_id: id, amount = payment.authorized } = data;
    if (amount > payment.authorized) return 'amount_too_large';
    if (amount < payment.authorized && !capturesPart[payment.gateway])
      return 'partial_capture_unsupported';
    if (isAsked(payment)) return 'already_requested';
    const capture_tries = payment.capture_tries + 1;
    const after: PaymentFacts = { ...payment, capture_asked: amount, capture_tries };
    return { after, calls: [captureCall(id, after, amount)] };
  },
});

function isAsked({ capture_asked: captured, cancel_asked: cancelled }: PaymentFacts): boolean {
  return captured > 0 || cancelled;
}

const cancelRequested = command<Static<(typeof CancelRequested)['data']>>({
  type: 'cancel.requested',
  commandOf: () => 'cancel',
  act(payment, { data: { payment_id: id } }) {
    if (payment.status === 'requires_review')
      return { after: { ...payment, status: 'cancelled' }, calls: [] };
    if (isAsked(payment)) return 'already_requested';
    const cancel_tries = payment.cancel_tries + 1;
    const after: PaymentFacts = { ...payment, cancel_asked: true, cancel_tries };
    return { after, calls: [cancelCall(id, after)] };
  },
});

const refundRequested = command<Static<(typeof RefundRequested)['data']>>({
  type: 'refund.requested',
  commandOf: () => 'refund',
  act(payment, { data }) {
    const left = refundable(payment);
    const { payment_id: id, refund_id: refundId, amount = left } = data;
    if (left === 0 || amount > left) return 'amount_too_large';
    const refunds = { ...payment.refunds, [refundId]: { amount, status: 'pending' as const } };
    return { after: { ...payment, refunds }, calls: [refundCall(id, payment, refundId, amount)] };
  },
});

const paymentReported: Rule<Reported> = {
  type: 'payment.reported',
  reads: readsPayment,
  decide(event, state) {
    const { data } = event;
    const payment = recordOf(event, state);
    if (!payment) return { verdict: 'defer', reason: 'payment_unknown' };
    if (data.attempt > payment.attempt) return { verdict: 'defer', reason: 'payment_not_that_far' };
    const effect = newsTable[payment.status][data.news];
    if (data.attempt < payment.attempt || effect === 'stray') return strayed(event, payment);
    if (effect === 'early') return { verdict: 'defer', reason: 'payment_not_that_far' };
    if (effect === 'stale') return post([]);
    if (data.news === 'failed') return failed(event, payment);
    const facts = withNews(payment, data);
    const after = { ...facts, status: effect === 'by_sums' ? statusBySums(facts) : effect };
    return saved(event, payment, after, []);
  },
};

/** The next gateway is tried where this one could not do it; a refusal by the bank is final. */
function failed(event: LedgerEvent<Reported>, payment: PaymentFacts): Decision {
  const { data } = event;
  const next = payment.gateways[payment.attempt];
  if (!next || !tryElsewhere.includes(data.decline_reason)) {
    const after: PaymentFacts = { ...withNews(payment, data), status: 'failed' };
    return saved(event, payment, after, []);
  }
  const after = { ...payment, attempt: payment.attempt + 1, gateway: next };
  return saved(event, payment, after, [chargeCall(event, after)]);
}

/** Money that a gateway moved for a try that was given up: what it held or took goes back. */
function strayed(event: LedgerEvent<Reported>, payment: PaymentFacts): Decision {
  const { data } = event;
  const known = payment.strays[data.attempt] ?? null;
  const stray = withStrayNews(known, data);
  if (stray === 'early') return { verdict: 'defer', reason: 'payment_not_that_far' };
  if (stray === known) return post([]);
  const after = { ...payment, strays: { ...payment.strays, [data.attempt]: stray! } };
  const calls = strayCalls(data.payment_id, data.attempt, payment.currency, known, stray!);
  return saved(event, payment, after, calls);
}

const evidenceSubmitted = command<Static<(typeof EvidenceSubmitted)['data']>>({
  type: 'evidence.submitted',
  commandOf: () => 'evidence',
  act: submitEvidence,
});

const evidenceReported = noted<Static<(typeof EvidenceReported)['data']>>(
  'evidence.reported',
  answerEvidence,
);
const disputeReminded = noted<Static<(typeof DisputeReminded)['data']>>(
  'dispute.reminded',
  remindOfDispute,
);

function initialFacts(data: Initiated, status: PaymentStatus, acceptedAt: number): PaymentFacts {
  const { amount, customer_id, method, capture, gateways, initiated_at } = data;
  return {
    status,
    amount: amount.amount,
    currency: amount.currency,
    customer_id,
    method,
    capture,
    gateways,
    attempt: 1,
    gateway: gateways[0]!,
    reference: null,
    authorized: 0,
    capture_asked: 0,
    cancel_asked: false,
    capture_tries: 0,
    cancel_tries: 0,
    captured: 0,
    captured_ms: null,
    fee: 0,
    refunds: {},
    disputes: {},
    strays: {},
    decline_reason: status === 'failed' ? 'blocked_by_risk' : null,
    order_id: data.order_id ?? null,
    redemption_id: data.redemption_id ?? null,
    metadata: data.metadata ?? null,
    risk: riskOf(data),
    initiated_at,
    updated_ms: acceptedAt,
  };
}

export const paymentRules: readonly Rule<never>[] = [
  paymentInitiated,
  paymentReviewed,
  captureRequested,
  cancelRequested,
  refundRequested,
  paymentReported,
  settlementPaid,
  evidenceSubmitted,
  evidenceReported,
  disputeReminded,
];
