// What a payment adds to the roll-ups, as rows of `payment_stats`.
// Invariant: a payment's part is a function of its facts, so that the roll-ups are a recount of the
// payments at any moment; what changes takes the old part out and puts the new one in. A payment
// counts in the minute in which it was initiated, whenever it is captured, refunded or disputed.
import { latencyBoundsMs } from '../schemas/payment-analytics.ts';
import type { Row } from '../src/ledger/decision.ts';
import { type PaymentFacts, refunded } from './payments-facts.ts';

/** What is counted apart. */
interface Place {
  at: string;
  currency: string;
  method: string;
  gateway: string;
  status: string;
  /** Empty unless it has failed. */
  decline_reason: string;
  /** Place among `latencyBoundsMs` from 1; 0 where there is nothing to measure. */
  latency: number;
}

const sums = [
  'payments',
  'captured',
  'refunded',
  'disputed',
  'volume',
  'captured_amount',
  'refunded_amount',
  'disputed_amount',
  'lost_amount',
  'fees',
] as const;
type Sums = Record<(typeof sums)[number], number>;

export function statsRows(before: PaymentFacts | null, after: PaymentFacts): Row[] {
  const is = placeOf(after);
  const was = before && placeOf(before);
  if (!was) return [row(is, sumsOf(after))];
  if (nameOf(was) !== nameOf(is))
    return [row(was, negated(sumsOf(before))), row(is, sumsOf(after))];
  const change = changeOf(sumsOf(before), sumsOf(after));
  return Object.keys(change).length === 0 ? [] : [row(is, change)];
}

/** Rows of a batch at one place are written as one. */
function row(place: Place, change: Partial<Sums>): Row {
  return { table: 'payment_stats', values: { ...place }, adds: change };
}

function placeOf(payment: PaymentFacts): Place {
  const { initiated_at: at, currency, method, gateway, status, decline_reason: reason } = payment;
  return {
    // The minute.
    at: `${at.slice(0, 16)}:00Z`,
    currency,
    method: method.type,
    gateway,
    status,
    decline_reason: status === 'failed' ? (reason ?? '') : '',
    latency: latencyOf(payment),
  };
}

function nameOf(place: Place): string {
  return Object.values(place).join(' ');
}

/** Only where no person was waited for: else it would say how long people took. */
function latencyOf({ capture, risk, captured_ms: capturedMs, initiated_at: at }: PaymentFacts) {
  if (capturedMs === null || capture !== 'automatic' || risk.decision !== 'allow') return 0;
  const tookMs = capturedMs - Date.parse(at);
  const within = latencyBoundsMs.findIndex((bound) => tookMs <= bound);
  return within < 0 ? latencyBoundsMs.length + 1 : within + 1;
}

function sumsOf(payment: PaymentFacts): Partial<Sums> {
  const disputes = Object.values(payment.disputes);
  const amountIn = (wanted: string): number =>
    disputes.reduce((sum, { status, amount }) => sum + (status === wanted ? amount : 0), 0);
  const back = refunded(payment);
  return changeOf(
    {},
    {
      payments: 1,
      captured: payment.captured > 0 ? 1 : 0,
      refunded: back > 0 ? 1 : 0,
      disputed: disputes.length > 0 ? 1 : 0,
      volume: payment.amount,
      captured_amount: payment.captured,
      refunded_amount: back,
      disputed_amount: amountIn('open'),
      lost_amount: amountIn('lost'),
      fees: [payment, ...disputes, ...Object.values(payment.strays)].reduce(
        (sum, { fee }) => sum + fee,
        0,
      ),
    },
  );
}

function negated(figures: Partial<Sums>): Partial<Sums> {
  return changeOf(figures, {});
}

function changeOf(before: Partial<Sums>, after: Partial<Sums>): Partial<Sums> {
  const change: Partial<Sums> = {};
  for (const name of sums) {
    const by = (after[name] ?? 0) - (before[name] ?? 0);
    if (by !== 0) change[name] = by;
  }
  return change;
}
