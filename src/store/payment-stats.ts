// Roll-ups of payments: read by time, compared with the payments, made anew from them.
// Invariant: they are written by the rules alone, in the transaction of the payments (see
// consumers/payments-stats.ts); what is made anew here is what stood there, or was wrong.
import { type Grain, type Grouping, latencyBoundsMs } from '../../schemas/payment-analytics.ts';
import type { Sql } from '../io/postgres.ts';

const measures = [
  'initiated',
  'authorized',
  'captured',
  'failed',
  'refunded',
  'disputed',
  'volume',
  'captured_amount',
  'refunded_amount',
  'disputed_amount',
  'lost_amount',
  'fees',
] as const;

export type PaymentSums = Record<(typeof measures)[number], number> & {
  /** How many payments in each bucket of `latencyBoundsMs`, then those beyond. */
  latencies: number[];
};

export interface PaymentPoint {
  atMs: number;
  currency: string;
  /** Null where nothing is grouped by. */
  group: string | null;
  sums: PaymentSums;
}

export interface StatsRequest {
  grain: Grain;
  fromMs: number;
  toMs: number;
  currency: string | null;
  groupBy: Grouping | null;
}

export interface RolledUpProblem {
  check: string;
  detail: string;
  total: number;
}

const DAY_MS = 86_400_000;
/** Looked at by each verification: what comes late comes to these. Older days come in turn. */
const RECENT_DAYS = 2;

export function noSums(): PaymentSums {
  const zeros = Object.fromEntries(measures.map((name) => [name, 0]));
  return { ...zeros, latencies: Array<number>(latencyBoundsMs.length + 1).fill(0) } as PaymentSums;
}

export function addSums(to: PaymentSums, { latencies, ...sums }: PaymentSums): void {
  for (const name of measures) to[name] += sums[name];
  latencies.forEach((count, bucket) => (to.latencies[bucket]! += count));
}

/** Where something is counted only, by currency, group and time. */
export async function paymentStatsOf(
  sql: Sql,
  tenant: number,
  { grain, fromMs, toMs, currency, groupBy }: StatsRequest,
): Promise<PaymentPoint[]> {
  const rows = await sql`
    select * from payment_stats_of(${tenant}, ${grain}, ${timeOf(fromMs)}::text::timestamptz,
      ${timeOf(toMs)}::text::timestamptz, ${currency}, ${groupBy})`;
  return rows.map((row): PaymentPoint => {
    const sums = noSums();
    for (const name of measures) sums[name] = Number(row[name] ?? 0);
    const counted = (row['latencies'] ?? {}) as Record<string, number>;
    for (const [bucket, count] of Object.entries(counted))
      sums.latencies[Number(bucket) - 1] = count;
    return {
      atMs: (row['at'] as Date).getTime(),
      currency: row['currency'] as string,
      group: row['grouped'] as string | null,
      sums,
    };
  });
}

/**
 * Roll-ups and disputes that are not what their payments say: of the last days, and of the older
 * ones one in turn; `full`: of all of them.
 */
export async function wrongPaymentRows(
  sql: Sql,
  full: boolean,
  now: () => number = Date.now,
): Promise<RolledUpProblem[]> {
  const days = await paymentDays(sql, full);
  const recent = days.slice(-RECENT_DAYS);
  const older = days.slice(0, -RECENT_DAYS);
  // An hour is a turn, as verification's are by default.
  const turn = older[Math.floor(now() / 3_600_000) % Math.max(older.length, 1)];
  const looked = full ? days : [...(turn === undefined ? [] : [turn]), ...recent];
  const problems: RolledUpProblem[] = [];
  for (const day of looked) {
    const [from, to] = [timeOf(day), timeOf(day + DAY_MS)];
    const stats = await sql`
      select * from system_verify_payment_stats(${from}::text::timestamptz,
        ${to}::text::timestamptz)`;
    const disputes = await sql`
      select * from system_verify_disputes(${from}::text::timestamptz, ${to}::text::timestamptz)`;
    const named = (check: string, rows: readonly Record<string, unknown>[]) =>
      rows.map((row) => ({
        ...{ check, detail: row['detail'] as string, total: Number(row['total']) },
      }));
    problems.push(...named('payment_stats', stats), ...named('disputes', disputes));
  }
  return problems;
}

/** A day at a time, so that batches wait for one at most. Gives how many payments were counted. */
export async function rebuildPaymentStats(sql: Sql, onDay: (done: number, of: number) => void) {
  const days = await paymentDays(sql, true);
  let payments = 0;
  for (const [index, day] of days.entries()) {
    const [row] = await sql`
      select system_payment_stats_rebuild(${timeOf(day)}::text::timestamptz,
        ${timeOf(day + DAY_MS)}::text::timestamptz) as payments`;
    payments += Number(row!['payments']);
    onDay(index + 1, days.length);
  }
  return payments;
}

async function paymentDays(sql: Sql, lookAtPayments: boolean): Promise<number[]> {
  const [row] = await sql`select * from system_payment_days(${lookAtPayments})`;
  const [first, end] = [row!['first_day'] as Date | null, row!['end_day'] as Date | null];
  const days: number[] = [];
  if (!first || !end) return days;
  for (let day = first.getTime(); day < end.getTime(); day += DAY_MS) days.push(day);
  return days;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
