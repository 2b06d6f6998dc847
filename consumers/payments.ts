// Rules of payments: what was asked for and what gateways report, turned into facts, postings and
// calls to make. A rule never calls anybody: it writes a row of `effects`, which an effect worker
// carries out under the row's own key.
// Invariant: a call has one key for ever, so asking twice for the same has one effect outside.
import type { Static } from '@sinclair/typebox';
import type {
  CancelRequested,
  CaptureRequested,
  PaymentReviewed,
  RefundRequested,
  SettlementPaid,
} from '../schemas/payments-events.ts';
import type { DeclineReason, PaymentStatus } from '../schemas/payments.ts';
import {
  type Decision,
  type LedgerEvent,
  type Reads,
  type Row,
  type Rule,
  type State,
  post,
  refuse,
} from '../src/ledger/decision.ts';
import {
  type Call,
  callsAfter,
  captureCall,
  cancelCall,
  chargeCall,
  refundCall,
} from './payments-calls.ts';
import {
  type Initiated,
  type PaymentFacts,
  type Reported,
  postingOf,
  refundable,
  statusBySums,
  withNews,
} from './payments-facts.ts';
import { type Command, commandTable, newsTable } from './payments-states.ts';
import { statsRows } from './payments-stats.ts';

const TABLE = 'payments';

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
    return saved(event, null, payment, status === 'processing' ? [chargeCall(event, payment)] : []);
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
  act(payment, { data: { amount, payment_id: id } }) {
    if (amount > payment.authorized) return 'amount_too_large';
    if (payment.capture_asked > 0) return 'already_requested';
    return {
      after: { ...payment, capture_asked: amount },
      calls: [captureCall(id, payment, amount)],
    };
  },
});

const cancelRequested = command<Static<(typeof CancelRequested)['data']>>({
  type: 'cancel.requested',
  commandOf: () => 'cancel',
  act(payment, { data: { payment_id: id } }) {
    if (payment.status === 'requires_review')
      return { after: { ...payment, status: 'cancelled' }, calls: [] };
    if (payment.capture_asked > 0) return 'already_requested';
    return { after: payment, calls: [cancelCall(id, payment)] };
  },
});

const refundRequested = command<Static<(typeof RefundRequested)['data']>>({
  type: 'refund.requested',
  commandOf: () => 'refund',
  act(payment, { data: { payment_id: id, refund_id: refundId, amount } }) {
    if (amount > refundable(payment)) return 'amount_too_large';
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
    const effect = newsTable[payment.status][data.news];
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
  if (data.attempt !== payment.attempt) return post([]);
  const next = payment.gateways[payment.attempt];
  if (!next || !tryElsewhere.includes(data.decline_reason)) {
    const after: PaymentFacts = { ...withNews(payment, data), status: 'failed' };
    return saved(event, payment, after, []);
  }
  const after = { ...payment, attempt: payment.attempt + 1, gateway: next };
  return saved(event, payment, after, [chargeCall(event, after)]);
}

/** A gateway's payout: what it owed us is in the bank. It counts once, whatever its events are
 * called: a webhook that is not dated can be sent again under another id. */
const settlementPaid: Rule<Static<(typeof SettlementPaid)['data']>> = {
  type: 'settlement.paid',
  reads: ({ data }) => ({ accounts: [{ account: settlementAccount(data), unit: 'payouts' }] }),
  decide({ data }, state) {
    const account = settlementAccount(data);
    if (state.balance(account, 'payouts') < 0) return refuse('already_paid');
    const { gateway, amount } = data;
    return post([
      { account, unit: 'payouts', amount: -1 },
      { account: 'payments:settlements', unit: 'payouts', amount: 1 },
      { account: 'payments:bank', unit: amount.currency, amount: -amount.amount },
      { account: `gateway:${gateway}:clearing`, unit: amount.currency, amount: amount.amount },
    ]);
  },
};

function settlementAccount({
  gateway,
  settlement_id: id,
}: Static<(typeof SettlementPaid)['data']>) {
  return `settlement:${gateway}:${id}`;
}

interface CommandRule<Data> {
  type: string;
  commandOf(data: Data): Command;
  /** What becomes of the payment, or the reason why not. */
  act(
    payment: PaymentFacts,
    event: LedgerEvent<Data>,
  ): { after: PaymentFacts; calls: readonly Call[] } | string;
}

/** Asked for by people, so there is an answer at once: done, or refused with a reason. */
function command<Data extends { payment_id: string }>({
  type,
  commandOf,
  act,
}: CommandRule<Data>): Rule<Data> {
  return {
    type,
    reads: readsPayment,
    decide(event, state) {
      const payment = recordOf(event, state);
      if (!payment) return refuse('payment_unknown');
      if (!commandTable[commandOf(event.data)].includes(payment.status))
        return refuse('wrong_status');
      const acted = act(payment, event);
      if (typeof acted === 'string') return refuse(acted);
      return saved(event, payment, acted.after, acted.calls);
    },
  };
}

function readsPayment({ data }: LedgerEvent<{ payment_id: string }>): Reads {
  return { records: [{ table: TABLE, key: data.payment_id }] };
}

function recordOf(
  { data }: LedgerEvent<{ payment_id: string }>,
  state: State,
): Readonly<PaymentFacts> | null {
  return state.record<PaymentFacts>(TABLE, data.payment_id);
}

function saved(
  event: LedgerEvent<{ payment_id: string }>,
  before: PaymentFacts | null,
  after: PaymentFacts,
  calls: readonly Call[],
): Decision {
  const captured_ms = after.captured_ms ?? (after.captured > 0 ? event.acceptedAt : null);
  const body: PaymentFacts = { ...after, captured_ms, updated_ms: event.acceptedAt };
  const id = event.data.payment_id;
  const effects = [...calls, ...callsAfter(id, before, body)];
  return {
    verdict: 'post',
    legs: postingOf(before, body),
    records: [{ table: TABLE, key: id, body }],
    rows: [
      ...effects.map((call): Row => ({ table: 'effects', values: { ...call } })),
      auditRow(event, before, body),
      ...statsRows(before, body),
    ],
  };
}

/** Every operation, by whom, and what it did to the status. */
function auditRow(
  { type, data }: LedgerEvent<{ payment_id: string; actor?: string; reason?: string }>,
  before: PaymentFacts | null,
  after: PaymentFacts,
): Row {
  const detail = { from: before?.status ?? null, to: after.status, reason: data.reason ?? null };
  const actor = data.actor ?? `gateway:${after.gateway}`;
  return { table: 'audit', values: { actor, action: type, subject: data.payment_id, detail } };
}

function initialFacts(data: Initiated, status: PaymentStatus, acceptedAt: number): PaymentFacts {
  const { amount, customer_id, method, capture, gateways, risk, initiated_at } = data;
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
    captured: 0,
    captured_ms: null,
    fee: 0,
    refunds: {},
    disputes: {},
    decline_reason: status === 'failed' ? 'blocked_by_risk' : null,
    order_id: data.order_id ?? null,
    redemption_id: data.redemption_id ?? null,
    metadata: data.metadata ?? null,
    risk,
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
];
