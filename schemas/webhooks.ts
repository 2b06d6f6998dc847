// Webhooks from gateways: the event that keeps one as it came, which of their types we know, and
// what is shown of them.
import { type Static, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { defineEvent } from './events.ts';
import { GatewayName, PaymentId } from './payments.ts';
import { Position, Time, closed, nullable } from './primitives.ts';

/** Far above what payments need; Stripe's largest objects are invoices. */
export const WEBHOOK_BYTES_MAX = 256 * 1024;

/** Those that say something of money, and those of which another says the same. What is not here
 * is kept and counted as unknown. */
export const webhookTypes = {
  stripe: [
    'payment_intent.succeeded',
    'payment_intent.amount_capturable_updated',
    'payment_intent.payment_failed',
    'payment_intent.canceled',
    'payment_intent.created',
    'payment_intent.processing',
    'payment_intent.requires_action',
    'charge.pending',
    'charge.succeeded',
    'charge.captured',
    'charge.failed',
    'charge.updated',
    'charge.refunded',
    'charge.refund.updated',
    'refund.created',
    'refund.updated',
    'refund.failed',
    'charge.dispute.created',
    'charge.dispute.updated',
    'charge.dispute.funds_withdrawn',
    'charge.dispute.funds_reinstated',
    'charge.dispute.closed',
    'payout.created',
    'payout.updated',
    'payout.reconciliation_completed',
    'payout.paid',
  ],
  razorpay: [
    'payment.authorized',
    'payment.captured',
    'payment.failed',
    'order.paid',
    'refund.created',
    'refund.processed',
    'refund.failed',
    'refund.speed_changed',
    'payment.dispute.created',
    'payment.dispute.under_review',
    'payment.dispute.action_required',
    'payment.dispute.won',
    'payment.dispute.lost',
    'payment.dispute.closed',
    'settlement.processed',
  ],
} as const satisfies Record<GatewayName, readonly string[]>;
export type StripeType = (typeof webhookTypes.stripe)[number];
export type RazorpayType = (typeof webhookTypes.razorpay)[number];

/** As both gateways make theirs; anything else is not a type. */
export const WebhookType = Type.String({
  pattern: '^[a-z][a-z0-9_.]{0,99}$',
  examples: ['payment_intent.succeeded'],
});

export const Endpoint = Type.String({
  pattern: '^whi_[0-9a-f]{40}$',
  description: 'The last part of `webhook_path` of an account with a gateway.',
  examples: ['whi_0000000000000000000000000000000000000000'],
});

export const WebhookReceived = defineEvent({
  type: 'webhook.received',
  domain: 'webhooks',
  topic: 'webhooks',
  origin: 'internal',
  // Any order will do: what a webhook says is the same whenever it comes.
  orderKey: ({ gateway_event_id: id }) => id,
  data: closed({
    gateway: GatewayName,
    endpoint: Endpoint,
    /** The gateway's id of the event, or a hash of the body where it sent none that is one. */
    gateway_event_id: Type.String({ pattern: '^[A-Za-z0-9_:-]{1,80}$' }),
    /** The body, its signature checked. */
    payload: Type.String({ maxLength: WEBHOOK_BYTES_MAX }),
  }),
  examples: [
    {
      gateway: 'stripe',
      endpoint: 'whi_0000000000000000000000000000000000000000',
      gateway_event_id: 'evt_1',
      payload: JSON.stringify({ id: 'evt_1', type: 'customer.created', data: { object: {} } }),
    },
    {
      gateway: 'stripe',
      endpoint: 'whi_0000000000000000000000000000000000000000',
      gateway_event_id: 'evt_2',
      payload: JSON.stringify({
        id: 'evt_2',
        type: 'payment_intent.succeeded',
        data: {
          object: {
            ...{ id: 'pi_1', status: 'succeeded', currency: 'usd', amount_received: 4_999 },
            metadata: { payment_id: 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05', attempt: '1' },
          },
        },
      }),
    },
    {
      gateway: 'stripe',
      endpoint: 'whi_0000000000000000000000000000000000000000',
      gateway_event_id: 'evt_3',
      payload: JSON.stringify({
        id: 'evt_3',
        type: 'refund.created',
        data: {
          object: {
            ...{ id: 're_1', status: 'succeeded', currency: 'usd', amount: 100, metadata: {} },
            ...{ payment_intent: 'pi_1', balance_transaction: 'txn_1' },
          },
        },
      }),
    },
    {
      gateway: 'razorpay',
      endpoint: 'whi_0000000000000000000000000000000000000000',
      gateway_event_id: 'E1',
      payload: JSON.stringify({
        event: 'settlement.processed',
        created_at: 1_767_225_600,
        payload: { settlement: { entity: { id: 'setl_1', amount: 4_824, created_at: 1 } } },
      }),
    },
  ],
});

export const webhookEvents = [WebhookReceived] as const;

/**
 * What became of a webhook. `translated`: an event of a payment or of a payout follows. `nothing`:
 * it moves no money, or another says the same. `unrelated`: of a payment that is not ours.
 * `unknown`: a type that we do not know.
 */
export const webhookResults = ['translated', 'nothing', 'unrelated', 'unknown'] as const;
export type WebhookResult = (typeof webhookResults)[number];

const shown = {
  id: Type.String({ description: 'As in `GET /v1/events/{id}`.' }),
  gateway: GatewayName,
  endpoint: Endpoint,
  gateway_event_id: Type.String(),
  type: Type.String(),
  result: words(...webhookResults),
  payment_id: nullable(PaymentId),
  received_at: Time,
};

export const WebhookEvent = closed(shown);
export type WebhookEvent = Static<typeof WebhookEvent>;

export const WebhookEventWhole = closed({
  ...shown,
  payload: Type.Unknown({
    description: 'As the gateway sent it; secrets and tokens are replaced by `[redacted]`.',
  }),
});
export type WebhookEventWhole = Static<typeof WebhookEventWhole>;

export const WebhookTaken = closed({
  status: words('accepted', 'duplicate'),
  position: Position,
});
