// How a rule of payments reads its payment and saves it: with the postings, calls and rows that
// follow from the difference.
// Invariant: whatever a rule does to the facts, the books, the roll-ups and the audit log follow.
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
import { type Call, callsAfter } from './payments-calls.ts';
import { disputeRows } from './payments-disputes.ts';
import { type PaymentFacts, postingOf } from './payments-facts.ts';
import { noticesOf } from './payments-notices.ts';
import { type Command, commandTable } from './payments-states.ts';
import { statsRows } from './payments-stats.ts';

const TABLE = 'payments';

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
export function command<Data extends { payment_id: string }>({
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

/** Of our own making, so the payment is there; null changes nothing. */
export function noted<Data extends { payment_id: string }>(
  type: string,
  change: (payment: PaymentFacts, data: Data) => PaymentFacts | null,
): Rule<Data> {
  return {
    type,
    reads: readsPayment,
    decide(event, state) {
      const payment = recordOf(event, state);
      const after = payment && change(payment, event.data);
      return payment && after ? saved(event, payment, after, []) : post([]);
    },
  };
}

export function readsPayment({ data }: LedgerEvent<{ payment_id: string }>): Reads {
  return { records: [{ table: TABLE, key: data.payment_id }] };
}

export function recordOf(
  { data }: LedgerEvent<{ payment_id: string }>,
  state: State,
): Readonly<PaymentFacts> | null {
  return state.record<PaymentFacts>(TABLE, data.payment_id);
}

export function saved(
  event: LedgerEvent<{ payment_id: string }>,
  before: PaymentFacts | null,
  after: PaymentFacts,
  calls: readonly Call[],
  more: readonly Row[] = [],
): Decision {
  const captured_ms = after.captured_ms ?? (after.captured > 0 ? event.acceptedAt : null);
  const body: PaymentFacts = { ...after, captured_ms, updated_ms: event.acceptedAt };
  const id = event.data.payment_id;
  const effects = [...calls, ...callsAfter(id, before, body)];
  // Not the clock of the write: a ledger that was restored writes old calls anew.
  const asked_ms = event.acceptedAt;
  return {
    verdict: 'post',
    legs: postingOf(before, body),
    records: [{ table: TABLE, key: id, body }],
    rows: [
      ...effects.map((call): Row => ({ table: 'effects', values: { ...call, asked_ms } })),
      auditRow(event, before, body),
      ...disputeRows(event, before, body),
      ...statsRows(before, body),
      ...more,
      ...noticesOf(id, before, body),
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
