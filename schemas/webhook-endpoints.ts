// Endpoints of tenants that notices are sent to, and the deliveries to them.
import { type Static, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { NoticeId, noticeTypeNames } from './notices.ts';
import { TEXT_PATTERN, Time, closed, nullable } from './primitives.ts';

export const EndpointId = Type.String({
  pattern: '^whe_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
  examples: ['whe_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e07'],
});

const Url = Type.String({
  minLength: 1,
  maxLength: 2_000,
  pattern: '^https?://[\\x21-\\x7e]+$',
  description:
    'https, without a user and a fragment. Private addresses are refused, http is too, unless ' +
    'the operator has allowed the network.',
  examples: ['https://shop.example/webhooks'],
});

const EventTypes = Type.Array(words('*', ...noticeTypeNames), {
  minItems: 1,
  maxItems: 50,
  uniqueItems: true,
  description: 'What it is told of; `*` is everything, of later releases too.',
});

const Description = Type.String({ maxLength: 200, pattern: TEXT_PATTERN });

export const EndpointRequest = closed({
  url: Url,
  event_types: Type.Optional(EventTypes),
  description: Type.Optional(Description),
});
export type EndpointRequest = Static<typeof EndpointRequest>;

export const EndpointChange = closed({
  url: Url,
  event_types: EventTypes,
  description: Description,
  status: words('enabled', 'disabled'),
});
export type EndpointChange = Static<typeof EndpointChange>;

export const RotationRequest = closed({
  overlap_s: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 604_800,
      description: 'How long both secrets sign. A day when left out; 0 when the old one leaked.',
    }),
  ),
});

export const disabledReasons = ['by_hand', 'gone', 'failing'] as const;

const endpoint = {
  id: EndpointId,
  url: Url,
  event_types: EventTypes,
  description: Description,
  status: words('enabled', 'disabled'),
  disabled_reason: Type.Union([words(...disabledReasons), Type.Null()], {
    description: '`gone`: it answered 410. `failing`: nothing got through for five days.',
  }),
  failing_since: nullable(Time),
  previous_secret_until: nullable(Time),
  created_at: Time,
  updated_at: Time,
};
export const Endpoint = closed(endpoint);
export type Endpoint = Static<typeof Endpoint>;

const Secret = Type.String({
  description: 'Signs what is sent to it. Shown now and never again.',
  examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
});
export const EndpointWithSecret = closed({ ...endpoint, secret: Secret });

/** Why a delivery did not arrive. */
export const deliveryErrors = [
  'bad_status',
  'gone',
  'redirected',
  'timed_out',
  'address_refused',
  'address_unknown',
  'connection_failed',
  'certificate_refused',
] as const;
export type DeliveryError = (typeof deliveryErrors)[number];

export const deliveryStatuses = ['waiting', 'delivered', 'failed'] as const;
export const DeliveryStatus = words(...deliveryStatuses);
export type DeliveryStatus = Static<typeof DeliveryStatus>;

const delivery = {
  id: NoticeId,
  type: Type.String(),
  subject: Type.String(),
  status: DeliveryStatus,
  attempts: Type.Integer({ minimum: 0, description: 'Since it was asked for the last time.' }),
  last_status_code: nullable(Type.Integer()),
  last_error: nullable(words(...deliveryErrors, 'endpoint_disabled', 'endpoint_deleted')),
  asked_at: Time,
  next_attempt_at: nullable(Time),
};
export const Delivery = closed(delivery);
export type Delivery = Static<typeof Delivery>;

export const DeliveryAttempt = closed({
  at: Time,
  status_code: nullable(Type.Integer()),
  error: nullable(words(...deliveryErrors)),
  duration_ms: Type.Integer({ minimum: 0 }),
});
export type DeliveryAttempt = Static<typeof DeliveryAttempt>;

export const DeliveryWithAttempts = closed({
  ...delivery,
  attempts_made: Type.Array(DeliveryAttempt, { description: 'The last 50, newest first.' }),
});
