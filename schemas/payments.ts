// Payments: what a client asks for, what it is told, and the words both share. Card data has no
// place here: a method is a token of the gateway.
import { type Static, Type } from '@sinclair/typebox';
import {
  AMOUNT_MAX,
  ClientId,
  Currency,
  Metadata,
  Position,
  TEXT_PATTERN,
  Time,
  closed,
  nullable,
} from './primitives.ts';
import { words } from './coupons.ts';

const uuid7 = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

export const PaymentId = Type.String({
  pattern: `^pay_${uuid7}$`,
  examples: ['pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05'],
});
export const RefundId = Type.String({
  pattern: `^rfd_${uuid7}$`,
  examples: ['rfd_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e06'],
});

export const paymentStatuses = [
  'requires_review',
  'processing',
  'authorized',
  'captured',
  'partially_refunded',
  'refunded',
  'failed',
  'cancelled',
  'disputed',
] as const;
export type PaymentStatus = (typeof paymentStatuses)[number];

export const gatewayNames = ['stripe', 'razorpay'] as const;
export type GatewayName = (typeof gatewayNames)[number];
export const GatewayName = words(...gatewayNames);
/** Who captures less than was authorised. */
export const capturesPart: Readonly<Record<GatewayName, boolean>> = {
  stripe: true,
  razorpay: false,
};

export const methodTypes = ['card', 'upi', 'netbanking', 'wallet'] as const;
export const MethodType = words(...methodTypes);

/** Why a gateway declined, in one vocabulary for all of them. */
export const declineReasons = [
  'insufficient_funds',
  'card_declined',
  'expired_card',
  'incorrect_cvc',
  'authentication_failed',
  'fraud_suspected',
  'processing_error',
  'blocked_by_risk',
  'rejected_in_review',
  'no_gateway_available',
  'timed_out',
] as const;
export const DeclineReason = words(...declineReasons);
export type DeclineReason = Static<typeof DeclineReason>;

/** Text for people: what is said here is kept, so not too much of it. */
export const Note = Type.String({ minLength: 1, maxLength: 500, pattern: TEXT_PATTERN });

/** More than nothing. */
export const ChargedMoney = closed(
  { amount: Type.Integer({ minimum: 1, maximum: AMOUNT_MAX }), currency: Currency },
  { description: 'Money above zero.', examples: [{ amount: 4_999, currency: 'USD' }] },
);

export const PaymentMethod = closed({
  type: MethodType,
  token: Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'A token of the gateway. Card numbers are refused.',
  }),
});

export const PaymentRequest = closed({
  amount: ChargedMoney,
  customer_id: ClientId,
  method: PaymentMethod,
  capture: Type.Optional(words('automatic', 'manual')),
  order_id: Type.Optional(ClientId),
  redemption_id: Type.Optional(Type.String({ pattern: `^rdm_${uuid7}$` })),
  gateway: Type.Optional(GatewayName),
  device_id: Type.Optional(ClientId),
  metadata: Type.Optional(Metadata),
  customer_ip: Type.Optional(
    Type.String({
      maxLength: 64,
      description:
        "The buyer's IP address, where a server calls for its buyers. Risk looks at it, not at " +
        "the caller's.",
    }),
  ),
});
export type PaymentRequest = Static<typeof PaymentRequest>;

export const CaptureRequest = closed({ amount: Type.Optional(ChargedMoney) });
export const RefundRequest = closed({
  amount: Type.Optional(ChargedMoney),
  reason: Type.Optional(Note),
});

const sum = (description: string) => Type.Integer({ minimum: 0, description });

export const RefundStatus = words('pending', 'succeeded', 'failed');

export const Payment = closed({
  id: PaymentId,
  status: words(...paymentStatuses),
  amount: ChargedMoney,
  captured: sum('Minor units captured.'),
  refunded: sum('Minor units refunded.'),
  refund_pending: sum('Minor units asked back and not yet confirmed.'),
  refunds: Type.Array(
    closed({
      id: Type.String({ description: 'Ours; `gateway:…` of one that was made at the gateway.' }),
      amount: Type.Integer(),
      status: RefundStatus,
    }),
  ),
  customer_id: ClientId,
  method: closed({ type: MethodType }),
  capture: words('automatic', 'manual'),
  gateway: nullable(GatewayName),
  gateway_reference: nullable(Type.String()),
  decline_reason: nullable(DeclineReason),
  order_id: nullable(ClientId),
  redemption_id: nullable(Type.String()),
  metadata: Metadata,
  created_at: Time,
  updated_at: Time,
});
export type Payment = Static<typeof Payment>;

export const PaymentAccepted = closed({
  id: PaymentId,
  status: words('processing', 'requires_review', 'failed'),
  position: Position,
});
