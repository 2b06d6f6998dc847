// What payments add up to: the words of roll-ups, and the answer that shows them.
import { type Static, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { Currency, Time, closed, nullable } from './primitives.ts';

export const grains = ['minute', 'hour', 'day'] as const;
export type Grain = (typeof grains)[number];

/** Upper bounds in ms of what a payment took from initiated to captured; one more is beyond. */
export const latencyBoundsMs = [
  100, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 30_000, 120_000,
] as const;

export const groupings = ['method', 'gateway', 'currency', 'decline_reason', 'status'] as const;
export type Grouping = (typeof groupings)[number];

export const PaymentAnalyticsQuery = closed({
  from: Type.Optional(Time),
  to: Type.Optional(Time),
  interval: Type.Optional(words(...grains)),
  group_by: Type.Optional(words(...groupings)),
  currency: Type.Optional(Currency),
});
export type PaymentAnalyticsQuery = Static<typeof PaymentAnalyticsQuery>;

const count = (description: string) => Type.Integer({ minimum: 0, description });
/** Beyond 2^53 a number of JSON is the nearest that it can say. */
const minor = (description: string) => Type.Number({ description: `${description}, minor units.` });
const rate = (description: string) =>
  nullable(Type.Number({ minimum: 0, maximum: 1, description }));

const figures = {
  initiated: count('Payments initiated.'),
  authorized: count('Held and not captured yet.'),
  captured: count('Captured, whatever became of them later.'),
  failed: count('Failed, for whatever reason.'),
  refunded: count('With a refund that went through.'),
  disputed: count('With a dispute, open or decided.'),
  volume: minor('Asked for'),
  captured_amount: minor('Captured'),
  refunded_amount: minor('Refunded'),
  disputed_amount: minor('In open disputes'),
  lost_amount: minor('Lost in disputes'),
  fees: minor('Fees of gateways, of disputes too'),
  net: minor('Captured, less refunds, open and lost disputes, and fees'),
  success_rate: rate('Captured or held, of those and the failed; null: none is decided.'),
  latency_ms: closed(
    {
      p50: nullable(Type.Integer()),
      p95: nullable(Type.Integer()),
      p99: nullable(Type.Integer()),
    },
    {
      description:
        'From initiated to captured, where nobody had to approve or capture by hand: upper bound ' +
        'of the bucket; null: none, or beyond the last bound.',
    },
  ),
};

export const PaymentFigures = closed(figures);
export type PaymentFigures = Static<typeof PaymentFigures>;

export const PaymentAnalytics = closed({
  from: Time,
  to: Time,
  interval: words(...grains),
  group_by: nullable(words(...groupings)),
  latency_bounds_ms: Type.Array(Type.Integer()),
  series: Type.Array(
    closed({
      currency: Currency,
      group: nullable(Type.String()),
      total: PaymentFigures,
      points: Type.Array(closed({ at: Time, ...figures })),
    }),
  ),
});
export type PaymentAnalytics = Static<typeof PaymentAnalytics>;
