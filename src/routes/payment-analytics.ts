// What payments add up to over time. Figures of a minute are those of the payments that were
// initiated in it, as they are now.
// Invariant: every series has a point for every interval that was asked for, zeros included.
import {
  type Grain,
  PaymentAnalytics,
  PaymentAnalyticsQuery,
  type PaymentFigures,
  latencyBoundsMs,
} from '../../schemas/payment-analytics.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Clock } from '../io/clock.ts';
import type { Sql } from '../io/postgres.ts';
import {
  type PaymentPoint,
  type PaymentSums,
  addSums,
  noSums,
  paymentStatsOf,
} from '../store/payment-stats.ts';

const grainMs: Record<Grain, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
/** A day of minutes, two months of hours, four years of days. */
const POINTS_MAX = 1_500;
/** What Postgres and JSON can say of a time, and more than is needed of it. */
const [EARLIEST_MS, LATEST_MS] = [Date.UTC(2000, 0, 1), Date.UTC(9000, 0, 1)];
/** Where `from` is not said. */
const LOOK_BACK_MS = 86_400_000;
/** Of all series together: some 4 MB of JSON. */
const CELLS_MAX = 10_000;

export interface PaymentAnalyticsParts {
  sql: Sql;
  clock: Clock;
}

export function paymentAnalyticsRoutes({ sql, clock }: PaymentAnalyticsParts): Route[] {
  return [
    defineRoute({
      name: 'getPaymentAnalytics',
      method: 'GET',
      path: '/v1/analytics/payments',
      tag: 'payments',
      summary: 'Volume, success, revenue and latency over time',
      description:
        'A payment counts in the interval in which it was initiated, with what is known of it ' +
        'now: a refund a month later lowers `net` of that day. Bounds are widened to whole ' +
        `intervals of UTC, at most ${POINTS_MAX} of them; by itself the last day is shown. A ` +
        'series for each currency and group.',
      scope: ['payments:write', 'balances:read', 'finance:approve'],
      limit: 'requests',
      query: PaymentAnalyticsQuery,
      answers: { 200: { description: 'The series.', schema: PaymentAnalytics } },
      examples: [
        {
          name: 'a day by hours',
          status: 200,
          query: { from: '2026-01-31T00:00:00Z', to: '2026-02-01T00:00:00Z', interval: 'hour' },
        },
        {
          name: 'too long for minutes',
          status: 422,
          query: { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', interval: 'minute' },
        },
      ],
      async handler({ tenant, query }) {
        const asked = rangeOf(query, clock());
        const currency = query.currency ?? null;
        const groupBy = query.group_by ?? null;
        const found = await paymentStatsOf(sql, tenant, { ...asked, currency, groupBy });
        return json(200, answerOf(asked, groupBy, found));
      },
    }),
  ];
}

interface Asked {
  grain: Grain;
  fromMs: number;
  toMs: number;
}

function rangeOf(query: PaymentAnalyticsQuery, nowMs: number): Asked {
  const { from, to, interval: grain = 'hour' } = query;
  const step = grainMs[grain];
  const untilMs = to === undefined ? nowMs : Date.parse(to);
  const toMs = Math.ceil(untilMs / step) * step;
  const sinceMs = from === undefined ? untilMs - LOOK_BACK_MS : Date.parse(from);
  const fromMs = Math.floor(sinceMs / step) * step;
  if (fromMs < EARLIEST_MS || toMs > LATEST_MS)
    throw problem(422, 'invalid_request', 'Payments are of the years 2000 to 9000.');
  if (!(fromMs < toMs)) throw problem(422, 'invalid_request', '`from` is to be before `to`.');
  if ((toMs - fromMs) / step > POINTS_MAX) {
    const detail = `More than ${POINTS_MAX} intervals: ask for less, or for longer ones.`;
    throw problem(422, 'invalid_request', detail);
  }
  return { grain, fromMs, toMs };
}

function answerOf(
  { grain, fromMs, toMs }: Asked,
  groupBy: PaymentAnalytics['group_by'],
  found: readonly PaymentPoint[],
): PaymentAnalytics {
  const step = grainMs[grain];
  const count = (toMs - fromMs) / step;
  const parts = Map.groupBy(found, ({ currency, group }) => `${currency} ${group}`);
  if (parts.size * count > CELLS_MAX) {
    const detail = `${parts.size} series of ${count} are too many: name a currency, or less.`;
    throw problem(422, 'invalid_request', detail);
  }
  const series = [...parts.values()].map((points) => {
    const byTime = new Map(points.map(({ atMs, sums }) => [atMs, sums]));
    const total = noSums();
    const filled = Array.from({ length: count }, (_, index) => {
      const atMs = fromMs + index * step;
      const sums = byTime.get(atMs) ?? noSums();
      addSums(total, sums);
      return { at: new Date(atMs).toISOString(), ...figuresOf(sums) };
    });
    const { currency, group } = points[0]!;
    return { currency, group, total: figuresOf(total), points: filled };
  });
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    interval: grain,
    group_by: groupBy,
    latency_bounds_ms: [...latencyBoundsMs],
    series,
  };
}

export function figuresOf({ latencies, ...sums }: PaymentSums): PaymentFigures {
  const { captured, authorized, failed } = sums;
  const decided = captured + authorized + failed;
  const back = sums.refunded_amount + sums.disputed_amount + sums.lost_amount;
  return {
    ...sums,
    net: sums.captured_amount - back - sums.fees,
    success_rate: decided === 0 ? null : (captured + authorized) / decided,
    latency_ms: {
      p50: quantile(latencies, 0.5),
      p95: quantile(latencies, 0.95),
      p99: quantile(latencies, 0.99),
    },
  };
}

/** The bound of the bucket with the payment of this rank; null: none, or beyond all bounds. */
function quantile(latencies: readonly number[], share: number): number | null {
  const all = latencies.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let seen = 0;
  const place = latencies.findIndex((count) => (seen += count) >= all * share);
  return latencyBoundsMs[place] ?? null;
}
