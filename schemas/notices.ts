// Notices: what tenants are told of through webhooks. Thin: what has happened to what, and the
// amounts; the rest is read through the API. A property may be added, none changes its meaning.
import { type TSchema, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import {
  ChargedMoney,
  DeclineReason,
  GatewayName,
  PaymentId,
  RefundId,
  paymentStatuses,
} from './payments.ts';
import { AMOUNT_MAX, ClientId, PositiveMoney, Time, closed, nullable } from './primitives.ts';

const sum = (description: string) => Type.Integer({ minimum: 0, maximum: AMOUNT_MAX, description });

export const PaymentNotice = closed({
  payment_id: PaymentId,
  status: words(...paymentStatuses),
  amount: ChargedMoney,
  captured: sum('Minor units captured.'),
  refunded: sum('Minor units refunded.'),
  customer_id: ClientId,
  order_id: nullable(ClientId),
  decline_reason: nullable(DeclineReason),
});

const RefundNotice = closed({
  payment_id: PaymentId,
  refund_id: Type.String({
    description: 'Ours where you asked for it, else `gateway:` and the id it has there.',
    examples: RefundId.examples as string[],
  }),
  amount: PositiveMoney,
});

const DisputeNotice = closed({
  payment_id: PaymentId,
  dispute_id: Type.String({ description: "The gateway's own id." }),
  amount: PositiveMoney,
  due_by: nullable(Time),
});

const SettlementNotice = closed({
  settlement_id: Type.String(),
  gateway: GatewayName,
  amount: ChargedMoney,
});

/** What each type of notice is about, and the shape of its `data`. */
export const noticeTypes = {
  'payment.requires_review': [PaymentNotice, 'Somebody is to look at it before it is charged.'],
  'payment.authorized': [PaymentNotice, 'The amount is held.'],
  'payment.captured': [PaymentNotice, 'The money is taken; or a dispute of it was won.'],
  'payment.failed': [PaymentNotice, 'It will not be charged.'],
  'payment.cancelled': [PaymentNotice, 'What was held is free again.'],
  'payment.refunded': [PaymentNotice, 'All of it was paid back.'],
  'payment.partially_refunded': [PaymentNotice, 'A part of it was paid back.'],
  'payment.disputed': [PaymentNotice, 'The buyer has called in the bank.'],
  'refund.succeeded': [RefundNotice, 'A refund is on its way to the buyer.'],
  'refund.failed': [RefundNotice, 'A refund did not go through, or came back.'],
  'dispute.opened': [DisputeNotice, 'Evidence is wanted by `due_by`.'],
  'dispute.due_soon': [DisputeNotice, 'Nobody has answered it, and `due_by` is near.'],
  'dispute.won': [DisputeNotice, 'The money is yours again.'],
  'dispute.lost': [DisputeNotice, 'The money stays with the buyer.'],
  'settlement.paid': [SettlementNotice, 'A gateway has paid out.'],
} as const satisfies Record<string, readonly [TSchema, string]>;

export type NoticeType = keyof typeof noticeTypes;
export const noticeTypeNames = Object.keys(noticeTypes) as NoticeType[];

export const NoticeId = Type.String({
  pattern: '^ntc_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  examples: ['ntc_5b0f7a52-1c9b-3c1e-8f6a-2f7d9c1b0e44'],
});

/** The body of a webhook, after the form that Standard Webhooks recommends. */
export function noticeBody(type: NoticeType): TSchema {
  const [data, about] = noticeTypes[type];
  return closed(
    {
      id: NoticeId,
      type: Type.Literal(type),
      version: Type.Literal(1),
      timestamp: Type.String({ ...Time, description: 'When it happened.' }),
      subject: Type.String({ description: 'What it is about: the id of a payment, for instance.' }),
      sequence: Type.Integer({
        minimum: 1,
        description: 'Of two notices on one subject, the later one has the higher number.',
      }),
      data,
    },
    { description: about },
  );
}
