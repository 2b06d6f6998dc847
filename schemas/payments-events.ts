// The events of payments: what was asked for, and the news that gateways bring. All of a payment's
// events travel in one stream, in the order in which they were accepted; news may be late, repeated
// or out of order, and say so by their kind only.
import { Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { defineEvent } from './events.ts';
import { disputeEvents } from './payments-disputes.ts';
import {
  ChargedMoney,
  DeclineReason,
  GatewayName,
  MethodType,
  Note,
  PaymentId,
  RefundId,
} from './payments.ts';
import { AMOUNT_MAX, ClientId, Metadata, Time, closed } from './primitives.ts';
import { Assessment } from './risk.ts';

const shared = { domain: 'payments', topic: 'payments', origin: 'internal' } as const;
const orderKey = (data: { payment_id: string }): string => data.payment_id;
const payment_id = 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
const refund_id = 'rfd_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e06';
const at = '2026-01-31T12:00:00.000Z';

/** Who did it: a key or a member of the staff. */
const Actor = Type.String({ minLength: 1, maxLength: 200 });

export const PaymentInitiated = defineEvent({
  ...shared,
  type: 'payment.initiated',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    amount: ChargedMoney,
    customer_id: ClientId,
    method: closed({ type: MethodType, token: Type.String({ maxLength: 255 }) }),
    capture: words('automatic', 'manual'),
    /** In the order in which they are to be tried. */
    gateways: Type.Array(GatewayName, { minItems: 1, maxItems: 4 }),
    order_id: Type.Optional(ClientId),
    redemption_id: Type.Optional(Type.String()),
    metadata: Type.Optional(Metadata),
    risk: Assessment,
    actor: Actor,
    initiated_at: Time,
  }),
  examples: [
    {
      payment_id,
      amount: { amount: 4_999, currency: 'USD' },
      customer_id: 'c_1',
      method: { type: 'card', token: 'pm_card_visa' },
      capture: 'automatic',
      gateways: ['stripe', 'razorpay'],
      risk: { score: 120, decision: 'allow' },
      actor: 'key:1',
      initiated_at: at,
    },
    {
      payment_id,
      amount: { amount: 90_000, currency: 'USD' },
      customer_id: 'c_1',
      method: { type: 'card', token: 'pm_card_visa' },
      capture: 'automatic',
      gateways: ['stripe'],
      risk: {
        score: 520,
        decision: 'review',
        version: 3,
        thresholds: { review: 500, block: 800 },
        signals: { amount: 90_000, user_1m: 1, amount_deviations: 8.25, device_new: 1 },
        reasons: [{ rule: 'new_device', points: 150, text: 'The device is new.' }],
        shadow: { score: 0, decision: 'allow', version: 1, reasons: [] },
        device: 'AAAAAAAAAAAAAAAAAAAAAA',
        token: 'BBBBBBBBBBBBBBBBBBBBBB',
      },
      actor: 'key:1',
      initiated_at: at,
    },
  ],
});

export const PaymentReviewed = defineEvent({
  ...shared,
  type: 'payment.reviewed',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    verdict: words('approved', 'rejected'),
    actor: Actor,
    reason: Note,
    reviewed_at: Time,
  }),
  examples: [
    { payment_id, verdict: 'approved', actor: 'key:1', reason: 'Known buyer.', reviewed_at: at },
  ],
});

export const CaptureRequested = defineEvent({
  ...shared,
  type: 'capture.requested',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    /** Absent: all that is held. */
    amount: Type.Optional(Type.Integer({ minimum: 1, maximum: AMOUNT_MAX })),
    actor: Actor,
    requested_at: Time,
  }),
  examples: [{ payment_id, amount: 4_000, actor: 'key:1', requested_at: at }],
});

export const CancelRequested = defineEvent({
  ...shared,
  type: 'cancel.requested',
  orderKey,
  data: closed({ payment_id: PaymentId, actor: Actor, requested_at: Time }),
  examples: [{ payment_id, actor: 'key:1', requested_at: at }],
});

export const RefundRequested = defineEvent({
  ...shared,
  type: 'refund.requested',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    refund_id: RefundId,
    /** Absent: all that is left. */
    amount: Type.Optional(Type.Integer({ minimum: 1, maximum: AMOUNT_MAX })),
    reason: Type.Optional(Note),
    actor: Actor,
    requested_at: Time,
  }),
  examples: [{ payment_id, refund_id, amount: 1_000, actor: 'key:1', requested_at: at }],
});

/** What a gateway can say of a payment, from calls and webhooks alike. */
export const newsKinds = [
  'authorized',
  'captured',
  'failed',
  'cancelled',
  'capture_failed',
  'cancel_failed',
  'refund_succeeded',
  'refund_failed',
  'dispute_opened',
  'dispute_won',
  'dispute_lost',
] as const;
export type NewsKind = (typeof newsKinds)[number];

export const PaymentReported = defineEvent({
  ...shared,
  type: 'payment.reported',
  orderKey,
  data: closed({
    payment_id: PaymentId,
    news: words(...newsKinds),
    gateway: GatewayName,
    /** Which try of ours it is about, from 1. */
    attempt: Type.Integer({ minimum: 1, maximum: 100 }),
    /** The gateway's own id of the payment. */
    reference: Type.String({ minLength: 1, maxLength: 255 }),
    /** Minor units of what happened: authorized, captured in all, refunded, disputed. */
    amount: Type.Integer({ minimum: 0, maximum: AMOUNT_MAX }),
    fee: Type.Optional(Type.Integer({ minimum: 0, maximum: AMOUNT_MAX })),
    decline_reason: Type.Optional(DeclineReason),
    /** Of refunds: ours where we asked, else `gateway:<its id>`. Of disputes: the gateway's id. Of
     * a capture or cancellation that was refused: the key of the call. */
    subject: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    due_by: Type.Optional(Time),
    /** Of disputes, in the gateway's words. */
    dispute_reason: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  }),
  examples: [
    {
      payment_id,
      news: 'captured',
      gateway: 'stripe',
      attempt: 1,
      reference: 'pi_1',
      amount: 4_999,
      fee: 175,
    },
    {
      payment_id,
      news: 'failed',
      gateway: 'stripe',
      attempt: 1,
      reference: 'pi_1',
      amount: 0,
      decline_reason: 'card_declined',
    },
    {
      payment_id,
      news: 'refund_succeeded',
      gateway: 'stripe',
      attempt: 1,
      reference: 'pi_1',
      amount: 1_000,
      subject: refund_id,
    },
    {
      payment_id,
      news: 'dispute_opened',
      gateway: 'stripe',
      attempt: 1,
      reference: 'pi_1',
      amount: 4_999,
      fee: 1_500,
      subject: 'dp_1',
      due_by: at,
      dispute_reason: 'product_not_received',
    },
  ],
});

/** A gateway paid out to the bank account; from its settlement file or webhook. */
export const SettlementPaid = defineEvent({
  ...shared,
  type: 'settlement.paid',
  orderKey: (data) => data.settlement_id,
  data: closed({
    settlement_id: Type.String({ minLength: 1, maxLength: 255 }),
    gateway: GatewayName,
    amount: ChargedMoney,
    paid_at: Time,
  }),
  examples: [
    {
      settlement_id: 'po_1',
      gateway: 'stripe',
      amount: { amount: 4_824, currency: 'USD' },
      paid_at: at,
    },
  ],
});

export const paymentEvents = [
  PaymentInitiated,
  PaymentReviewed,
  CaptureRequested,
  CancelRequested,
  RefundRequested,
  PaymentReported,
  SettlementPaid,
  ...disputeEvents,
] as const;
