// Coupons: terms, checks and what is answered, and the list of the domain's events, which are
// written in coupons-events.ts.
import { type Static, Type } from '@sinclair/typebox';
import * as base from './primitives.ts';

const { AMOUNT_MAX, AccountPart, ClientId, PositiveMoney, Time, closed } = base;

export function words<W extends string>(...list: readonly W[]) {
  return Type.Union(list.map((word) => Type.Literal(word)));
}

export const refusalReasons = [
  'not_found',
  'not_started',
  'expired',
  'outside_window',
  'disabled',
  'limit_reached',
  'customer_limit_reached',
  'budget_exhausted',
  'customer_required',
  'customer_not_eligible',
  'min_order_not_met',
  'product_not_eligible',
  'currency_mismatch',
  'not_stackable',
  'already_redeemed',
  'reserved_elsewhere',
  'insufficient_balance',
] as const;
export const RefusalReason = words(...refusalReasons);
export type RefusalReason = (typeof refusalReasons)[number];

/** What a publishable key is told: too little to find out which codes exist. */
export const publicReasons = ['not_found', 'expired', 'limit_reached', 'not_applicable'] as const;
export const PublicReason = words(...publicReasons);
export type PublicReason = (typeof publicReasons)[number];

export const CouponCode = AccountPart;

const PositiveInteger = Type.Integer({ minimum: 1, maximum: AMOUNT_MAX });
const Names = Type.Array(ClientId, { minItems: 1, maxItems: 500, uniqueItems: true });

/** When in the week a coupon applies. A window whose `until` is not after `from` ends next day. */
export const CouponWindow = closed({
  days: Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), {
    minItems: 1,
    maxItems: 7,
    uniqueItems: true,
    description: 'ISO days on which the window opens: 1 is Monday, 7 is Sunday.',
  }),
  from: Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$', examples: ['17:00'] }),
  until: Type.String({ pattern: '^(([01]\\d|2[0-3]):[0-5]\\d|24:00)$', examples: ['19:30'] }),
});
export type CouponWindow = Static<typeof CouponWindow>;

const timeZoneDescription = 'IANA name or offset in which `windows` are read. UTC when absent.';

export const CouponTerms = closed({
  kind: words('percent', 'fixed', 'free_shipping', 'gift_balance'),
  percent_bp: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  value: Type.Optional(PositiveMoney),
  max_discount: Type.Optional(PositiveMoney),
  min_order: Type.Optional(PositiveMoney),
  starts_at: Type.Optional(Time),
  ends_at: Type.Optional(Time),
  windows: Type.Optional(Type.Array(CouponWindow, { minItems: 1, maxItems: 20 })),
  time_zone: Type.Optional(
    Type.String({
      pattern: '^([A-Za-z][A-Za-z0-9_+/-]{0,63}|[+-]([01]\\d|2[0-3]):[0-5]\\d)$',
      description: timeZoneDescription,
      examples: ['Europe/Paris', '+05:30'],
    }),
  ),
  limits: Type.Optional(
    closed({
      global: Type.Optional(PositiveInteger),
      per_customer: Type.Optional(PositiveInteger),
      budget: Type.Optional(PositiveMoney),
    }),
  ),
  products: Type.Optional(Names),
  segments: Type.Optional(Names),
  stackable: Type.Optional(Type.Boolean({ default: false })),
  status: Type.Optional(words('active', 'disabled')),
  metadata: Type.Optional(base.Metadata),
  returned_on_refund: Type.Optional(
    Type.Boolean({
      default: true,
      description: 'Whether a payment that is refunded in whole gives its use back.',
    }),
  ),
});
export type CouponTerms = Static<typeof CouponTerms>;

/** Reserved and redeemed count uses; `budget_used` is the discount of both together. */
export const CouponUsage = closed({
  reserved: Type.Integer(),
  redeemed: Type.Integer(),
  budget_used: Type.Union([base.Money, Type.Null()]),
});
export type CouponUsage = Static<typeof CouponUsage>;

export const Coupon = closed({
  code: CouponCode,
  version: Type.Integer(),
  ...CouponTerms.properties,
  usage: CouponUsage,
  created_at: Time,
  updated_at: Time,
});
export type Coupon = Static<typeof Coupon>;

export const OrderItem = closed({
  product_id: ClientId,
  quantity: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  price: PositiveMoney,
});

/** `total` is what is to be paid, `shipping` the part of it that is shipping. */
const orderProperties = {
  total: PositiveMoney,
  shipping: Type.Optional(PositiveMoney),
  items: Type.Optional(Type.Array(OrderItem, { maxItems: 500 })),
};
export const Order = closed({ id: Type.Optional(ClientId), ...orderProperties });
export type Order = Static<typeof Order>;

const Segments = Type.Optional(Type.Array(ClientId, { maxItems: 100 }));
/** Either `code` or `codes`; the routes check that it is exactly one of them. The keyword is for
 * readers of the document: the compiled check does not know it. */
const oneOfThem = { oneOf: [{ required: ['code'] }, { required: ['codes'] }] };
const codeProperties = {
  code: Type.Optional(CouponCode),
  codes: Type.Optional(Type.Array(CouponCode, { minItems: 1, maxItems: 10, uniqueItems: true })),
};

export const CheckRequest = closed(
  {
    ...codeProperties,
    customer_id: Type.Optional(ClientId),
    segments: Segments,
    order: Order,
  },
  oneOfThem,
);
export type CheckRequest = Static<typeof CheckRequest>;

export const CheckBatchRequest = closed({
  checks: Type.Array(CheckRequest, { minItems: 1, maxItems: 1_000 }),
});

export const Accepted = closed({
  valid: Type.Literal(true),
  code: CouponCode,
  discount: base.Money,
  total_after: base.Money,
  free_shipping: Type.Optional(Type.Literal(true)),
  as_of: Time,
  version: Type.Integer(),
});
export const Refused = closed({
  valid: Type.Literal(false),
  code: CouponCode,
  reason: Type.Optional(RefusalReason),
  public_reason: PublicReason,
});
export const StackAnswer = closed({
  valid: Type.Boolean(),
  discount: base.Money,
  total_after: base.Money,
  results: Type.Array(Type.Union([Accepted, Refused])),
});
export const CheckAnswer = Type.Union([Accepted, Refused, StackAnswer]);
export type CheckAnswer = Static<typeof CheckAnswer>;
export const CheckBatchAnswer = closed({ results: Type.Array(CheckAnswer) });

export const RedemptionRequest = closed(
  {
    ...codeProperties,
    customer_id: ClientId,
    segments: Segments,
    order: closed({ id: ClientId, ...orderProperties }),
    ttl_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, default: 900 })),
    commit: Type.Optional(Type.Boolean({ default: false })),
  },
  oneOfThem,
);
export type RedemptionRequest = Static<typeof RedemptionRequest>;

export const RedemptionId = Type.String({
  pattern: '^rdm_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
  examples: ['rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05'],
});

export const redemptionStatuses = ['reserved', 'committed', 'released'] as const;
export type RedemptionStatus = (typeof redemptionStatuses)[number];

export const Redemption = closed({
  id: RedemptionId,
  status: words(...redemptionStatuses),
  discount: base.Money,
  codes: Type.Array(closed({ code: CouponCode, discount: base.Money, version: Type.Integer() })),
  customer_id: ClientId,
  order_id: ClientId,
  expires_at: Time,
  position: base.nullable(base.Position),
});
export type Redemption = Static<typeof Redemption>;
