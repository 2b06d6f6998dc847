// The events of coupons: what became of a redemption, and how often codes were checked. Amounts are
// plain integers beside one currency, since every part of a redemption has the same.
import { Type } from '@sinclair/typebox';
import { defineEvent } from './events.ts';
import { CouponCode, RedemptionId, RefusalReason, words } from './coupons.ts';
import { ClientId, Currency, Time, closed } from './primitives.ts';

const UseOfCode = closed({
  code: CouponCode,
  discount: Type.Integer({ minimum: 0 }),
  terms_version: Type.Integer(),
});
const redemptionFacts = {
  redemption_id: RedemptionId,
  uses: Type.Array(UseOfCode, { minItems: 1, maxItems: 10 }),
  currency: Currency,
  customer_id: ClientId,
  order_id: ClientId,
};
const exampleFacts = {
  redemption_id: 'rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05',
  uses: [
    { code: 'SPRING', discount: 500, terms_version: 1 },
    { code: 'SHIP', discount: 0, terms_version: 4 },
  ],
  currency: 'USD',
  customer_id: 'c_1',
  order_id: 'o_1',
};

/** All events of a redemption travel in the stream of its first code. */
const firstCode = (data: { uses: { code: string }[] }): string => data.uses[0]!.code;

export const RedemptionReserved = defineEvent({
  type: 'redemption.reserved',
  domain: 'coupons',
  topic: 'coupons',
  origin: 'internal',
  orderKey: firstCode,
  data: closed({
    ...redemptionFacts,
    order_total: Type.Integer({ minimum: 0 }),
    reserved_at: Time,
    expires_at: Time,
  }),
  examples: [
    {
      ...exampleFacts,
      order_total: 5000,
      reserved_at: '2026-01-31T12:00:00.000Z',
      expires_at: '2026-01-31T12:15:00.000Z',
    },
  ],
});

export const RedemptionCommitted = defineEvent({
  type: 'redemption.committed',
  domain: 'coupons',
  topic: 'coupons',
  origin: 'internal',
  orderKey: firstCode,
  data: closed({ ...redemptionFacts, committed_at: Time }),
  examples: [{ ...exampleFacts, committed_at: '2026-01-31T12:01:00.000Z' }],
});

/** `expired`: its time was up. `replaced`: its own order reserved again with other contents. */
export const RedemptionReleased = defineEvent({
  type: 'redemption.released',
  domain: 'coupons',
  topic: 'coupons',
  origin: 'internal',
  orderKey: firstCode,
  data: closed({
    ...redemptionFacts,
    reason: words('released', 'expired', 'replaced'),
    released_at: Time,
  }),
  examples: [{ ...exampleFacts, reason: 'expired', released_at: '2026-01-31T12:15:00.300Z' }],
});

/** Checks of one process and tenant, counted; one event instead of one a check. In another topic
 * than what was decided: a stream of decisions has nothing else in it (redemption-life.ts). */
export const CouponChecked = defineEvent({
  type: 'coupon.checked',
  domain: 'coupons',
  topic: 'events',
  origin: 'internal',
  orderKey: (data) => data.minute,
  data: closed({
    minute: Time,
    checks: Type.Array(
      closed({
        code: Type.String({
          maxLength: 100,
          description: '`:unknown` for codes that do not exist.',
        }),
        result: Type.Union([Type.Literal('valid'), RefusalReason]),
        count: Type.Integer({ minimum: 1 }),
      }),
      { minItems: 1, maxItems: 1_000 },
    ),
  }),
  examples: [
    {
      minute: '2026-01-31T12:00:00Z',
      checks: [
        { code: 'SPRING', result: 'valid', count: 412 },
        { code: ':unknown', result: 'not_found', count: 3 },
      ],
    },
  ],
});

export const couponEvents = [
  RedemptionReserved,
  RedemptionCommitted,
  RedemptionReleased,
  CouponChecked,
] as const;
