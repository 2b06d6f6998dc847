// What is known of a payment's disputes, how news and answers add to it, and the rows that show it.
// Invariant: facts are what was said under each status, the fullest of it, so that any order and
// any repetition of the news ends the same; the gateway's own verdict is what counts.
import type { Static } from '@sinclair/typebox';
import type {
  DisputeReminded,
  DisputeStatus,
  EvidenceReported,
  EvidenceStatus,
  EvidenceSubmitted,
} from '../schemas/payments-disputes.ts';
import type { GatewayName } from '../schemas/payments.ts';
import type { LedgerEvent, Row } from '../src/ledger/decision.ts';
import type { Call } from './payments-calls.ts';
import type { PaymentFacts, Reported } from './payments-facts.ts';

type Submitted = Static<(typeof EvidenceSubmitted)['data']>;
type Answered = Static<(typeof EvidenceReported)['data']>;
type Reminded = Static<(typeof DisputeReminded)['data']>;

/** What news of one status has said. Null: nothing yet. */
interface Said {
  amount: number;
  fee: number | null;
  due_by: string | null;
  reason: string | null;
}

export interface DisputeFacts {
  status: DisputeStatus;
  /** At stake while it is open; when lost, what was taken in the end. */
  amount: number;
  /** As last said: a gateway may give it back with the verdict. */
  fee: number;
  due_by: string | null;
  reason: string | null;
  gateway: GatewayName;
  said: Readonly<Partial<Record<DisputeStatus, Said>>>;
  /** By submission: what became of each at the gateway. */
  evidence: Readonly<Record<string, Exclude<EvidenceStatus, 'none'>>>;
  /** The deadline of which was reminded. */
  reminded_of: string | null;
}

/** Towards the end: what is lost stays lost. */
const order = ['open', 'won', 'lost'] as const;

export function withDisputeNews(
  disputes: PaymentFacts['disputes'],
  news: Reported,
  status: DisputeStatus,
): PaymentFacts['disputes'] {
  const id = news.subject ?? `gateway:${news.reference}`;
  const known = disputes[id];
  const before = known?.said[status];
  const { amount, fee = null, due_by = null, dispute_reason: reason = null } = news;
  const said = {
    ...known?.said,
    [status]: {
      amount: Math.max(before?.amount ?? 0, amount),
      // What was won brings fees back, one line of the statement after the other.
      fee: (status === 'won' ? smallest : largest)(before?.fee ?? null, fee),
      due_by: largest(before?.due_by ?? null, due_by),
      reason: largest(before?.reason ?? null, reason),
    },
  };
  const { evidence = {}, reminded_of = null } = known ?? {};
  const facts = { ...summaryOf(said), gateway: news.gateway, said, evidence, reminded_of };
  return { ...disputes, [id]: facts };
}

function summaryOf(said: DisputeFacts['said']) {
  const heard = order.filter((status) => said[status]);
  const status = heard.at(-1)!;
  const all = heard.map((each) => said[each]!);
  const latest = all.toReversed();
  const most = Math.max(...all.map(({ amount }) => amount));
  return {
    status,
    amount: status === 'lost' && latest[0]!.amount > 0 ? latest[0]!.amount : most,
    fee: latest.find(({ fee }) => fee !== null)?.fee ?? 0,
    due_by: all.reduce<string | null>((due, each) => largest(due, each.due_by), null),
    reason: all.find(({ reason }) => reason !== null)?.reason ?? null,
  };
}

function largest<T extends number | string>(a: T | null, b: T | null): T | null {
  if (a === null || b === null) return a ?? b;
  return a > b ? a : b;
}

function smallest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

export function evidenceStatusOf({ evidence }: DisputeFacts): EvidenceStatus {
  const found = Object.values(evidence);
  const furthest = (['submitted', 'pending', 'refused'] as const).find((status) =>
    found.includes(status),
  );
  return furthest ?? 'none';
}

/** An answer is handed in once; one that the gateway refused may be followed by a better one. */
export function submitEvidence(
  payment: PaymentFacts,
  { data }: LedgerEvent<Submitted>,
): { after: PaymentFacts; calls: readonly Call[] } | string {
  const { payment_id, dispute_id, submission_id, items, note = null } = data;
  const dispute = payment.disputes[dispute_id];
  if (!dispute) return 'dispute_unknown';
  if (dispute.status !== 'open') return 'wrong_status';
  const status = evidenceStatusOf(dispute);
  if (status === 'pending' || status === 'submitted') return 'already_requested';
  const { attempt, reference, currency } = payment;
  const call: Call = {
    key: submission_id,
    kind: 'evidence',
    lane: `gateway:${dispute.gateway}`,
    data: {
      ...{ payment_id, attempt, reference, currency, amount: dispute.amount },
      ...{ dispute_id, items, note },
    },
  };
  return { after: withEvidence(payment, data, 'pending'), calls: [call] };
}

/** Null: not an answer that we know of. */
export function answerEvidence(payment: PaymentFacts, data: Answered): PaymentFacts | null {
  const known = payment.disputes[data.dispute_id]?.evidence[data.submission_id];
  return known === undefined ? null : withEvidence(payment, data, data.outcome);
}

function withEvidence(
  payment: PaymentFacts,
  { dispute_id: id, submission_id: submission }: { dispute_id: string; submission_id: string },
  status: Exclude<EvidenceStatus, 'none'>,
): PaymentFacts {
  const dispute = payment.disputes[id]!;
  const evidence = { ...dispute.evidence, [submission]: status };
  return { ...payment, disputes: { ...payment.disputes, [id]: { ...dispute, evidence } } };
}

export function isUnanswered(dispute: DisputeFacts): boolean {
  const status = evidenceStatusOf(dispute);
  return dispute.status === 'open' && (status === 'none' || status === 'refused');
}

/** Null: nothing to remind of any more. */
export function remindOfDispute(payment: PaymentFacts, data: Reminded): PaymentFacts | null {
  const { dispute_id: id, due_by } = data;
  const dispute = payment.disputes[id];
  if (!dispute || dispute.status !== 'open' || dispute.reminded_of === due_by) return null;
  const disputes = { ...payment.disputes, [id]: { ...dispute, reminded_of: due_by } };
  return { ...payment, disputes };
}

/** Each dispute that has changed, and what was handed in or answered with this event. */
export function disputeRows(
  { type, data, acceptedAt }: LedgerEvent<{ payment_id: string }>,
  before: PaymentFacts | null,
  after: PaymentFacts,
): Row[] {
  const rows = Object.entries(after.disputes)
    .filter(([id, dispute]) => before?.disputes[id] !== dispute)
    .map(([id, dispute]) => rowOf(id, dispute, data.payment_id, after, acceptedAt));
  const evidence = evidenceRow(type, data as unknown as Submitted | Answered);
  return evidence ? [...rows, evidence] : rows;
}

function rowOf(
  id: string,
  dispute: DisputeFacts,
  payment_id: string,
  { currency, customer_id }: PaymentFacts,
  at_ms: number,
): Row {
  const { status, gateway, amount, fee, reason, due_by, reminded_of } = dispute;
  const evidence_status = evidenceStatusOf(dispute);
  const whose = { id, payment_id, gateway, currency, customer_id, at_ms };
  const is = { status, amount, fee, reason, evidence_status, due_by, reminded_of };
  return { table: 'disputes', values: { ...whose, ...is } };
}

function evidenceRow(type: string, data: Submitted | Answered): Row | null {
  const { submission_id: id, dispute_id } = data;
  if (type === 'evidence.submitted') {
    const { items, note = null, actor, submitted_at } = data as Submitted;
    const values = { id, dispute_id, items, note, actor, submitted_at, status: 'pending' };
    return { table: 'dispute_evidence', values };
  }
  if (type !== 'evidence.reported') return null;
  const { outcome: status, detail = null } = data as Answered;
  return { table: 'dispute_evidence', values: { id, dispute_id, status, detail } };
}
