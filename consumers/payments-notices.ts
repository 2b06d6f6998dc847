// What tenants are told of a payment: the difference between its facts before and after, so that
// news which changes nothing is told to nobody.
// Invariant: payment.captured is told once, whatever disputes and refunds do to the status later.
import type { Static } from '@sinclair/typebox';
import type { NoticeType } from '../schemas/notices.ts';
import type { SettlementPaid } from '../schemas/payments-events.ts';
import type { PaymentStatus } from '../schemas/payments.ts';
import type { Row } from '../src/ledger/decision.ts';
import { type DisputeFacts, isUnanswered } from './payments-disputes.ts';
import { type PaymentFacts, refunded } from './payments-facts.ts';

/**
 * A row of `notices`: kept, and sent to whoever wants its type (sql/queries/notices.sql). `key`
 * tells apart what one event brings; notices on one subject have one order key.
 */
export function noticeRow(
  type: NoticeType,
  subject: string,
  data: object,
  { key = type, occurredMs }: { key?: string; occurredMs: number },
): Row {
  return {
    table: 'notices',
    values: { key, type, subject, data, occurred_ms: occurredMs },
  };
}

export function noticesOf(id: string, before: PaymentFacts | null, after: PaymentFacts): Row[] {
  return [
    ...statusNotices(id, before, after),
    ...refundNotices(id, before, after),
    ...disputeNotices(id, before, after),
  ];
}

export function settlementNotice(
  { settlement_id, gateway, amount }: Static<(typeof SettlementPaid)['data']>,
  occurredMs: number,
): Row {
  const data = { settlement_id, gateway, amount };
  return noticeRow('settlement.paid', settlement_id, data, { occurredMs });
}

const isNew: Partial<
  Record<PaymentStatus, (before: PaymentFacts, after: PaymentFacts) => boolean>
> = {
  captured: (before) => before.captured === 0,
  partially_refunded: (before, after) => refunded(after) > refunded(before),
  refunded: (before, after) => refunded(after) > refunded(before),
};

function statusNotices(id: string, before: PaymentFacts | null, after: PaymentFacts): Row[] {
  const { status } = after;
  if (status === 'processing' || status === before?.status) return [];
  if (before && isNew[status]?.(before, after) === false) return [];
  const data = {
    payment_id: id,
    status,
    amount: { amount: after.amount, currency: after.currency },
    captured: after.captured,
    refunded: refunded(after),
    customer_id: after.customer_id,
    order_id: after.order_id,
    decline_reason: after.decline_reason,
  };
  return [noticeRow(`payment.${status}`, id, data, { occurredMs: after.updated_ms })];
}

function refundNotices(id: string, before: PaymentFacts | null, after: PaymentFacts): Row[] {
  return Object.entries(after.refunds).flatMap(([refund_id, { status, amount }]) => {
    if (status === 'pending' || before?.refunds[refund_id]?.status === status) return [];
    const type = `refund.${status}` as const;
    const data = { payment_id: id, refund_id, amount: { amount, currency: after.currency } };
    return [
      noticeRow(type, id, data, { key: `${type}:${refund_id}`, occurredMs: after.updated_ms }),
    ];
  });
}

const disputeTypes: Record<DisputeFacts['status'], NoticeType> = {
  open: 'dispute.opened',
  won: 'dispute.won',
  lost: 'dispute.lost',
};

function disputeNotices(id: string, before: PaymentFacts | null, after: PaymentFacts): Row[] {
  return Object.entries(after.disputes).flatMap(([dispute_id, dispute]) => {
    const known = before?.disputes[dispute_id];
    const { status, amount, due_by, reminded_of } = dispute;
    const money = { amount, currency: after.currency };
    const data = { payment_id: id, dispute_id, amount: money, due_by };
    const row = (type: NoticeType, key: string): Row =>
      noticeRow(type, id, data, { key, occurredMs: after.updated_ms });
    const isDueSoon =
      reminded_of !== null && reminded_of !== known?.reminded_of && isUnanswered(dispute);
    return [
      ...(known?.status === status
        ? []
        : [row(disputeTypes[status], `${disputeTypes[status]}:${dispute_id}`)]),
      ...(isDueSoon
        ? [row('dispute.due_soon', `dispute.due_soon:${dispute_id}:${reminded_of}`)]
        : []),
    ];
  });
}
