// What payments do, counted after each commit, for dashboards and alerts: no tenant, customer or
// payment is a label. Exact figures are roll-ups (sql/queries/payment_stats.sql); these are counts
// since a process began.
import { latencyBoundsMs } from '../../schemas/payment-analytics.ts';
import type { Metrics } from '../io/metrics.ts';
import type { BatchItem, BatchPlan } from '../ledger/batch.ts';

interface PaymentRecord {
  gateway: string;
  capture: string;
  risk: { decision: string };
  initiated_at: string;
  captured_ms: number | null;
  updated_ms: number;
}

export class PaymentMetrics {
  private readonly entered;
  private readonly failures;
  private readonly seconds;

  constructor(metrics: Metrics) {
    this.entered = metrics.counter(
      'tallyrace_payments_total',
      'Payments by the status that they came into',
      ['status'],
    );
    this.failures = metrics.counter(
      'tallyrace_payment_failures_total',
      'Payments that failed, by reason',
      ['reason'],
    );
    this.seconds = metrics.histogram(
      'tallyrace_payment_capture_seconds',
      'From initiated to captured, where nobody had to approve or capture by hand',
      ['gateway'],
      latencyBoundsMs.map((ms) => ms / 1_000),
    );
  }

  settled(plan: BatchPlan): void {
    for (const places of movedOf(plan).values())
      for (const [place, by] of places) {
        if (by <= 0) continue;
        const [status, reason] = place.split(' ') as [string, string];
        this.entered.labels(status).inc();
        if (status === 'failed') this.failures.labels(reason).inc();
      }
    for (const { table, body, changed } of plan.state.recordSlots().values())
      if (changed && table === 'payments') this.observe(body as unknown as PaymentRecord);
  }

  /** Captured by this batch, unless something else came later in it: then it is not measured. */
  private observe(payment: PaymentRecord): void {
    const { captured_ms: at, updated_ms, capture, risk, gateway, initiated_at } = payment;
    if (at === null || at !== updated_ms || capture !== 'automatic' || risk.decision !== 'allow')
      return;
    this.seconds.labels(gateway).observe(Math.max(0, at - Date.parse(initiated_at)) / 1_000);
  }
}

/** By event: what its rows of the roll-ups take from each place, and bring to it. */
function movedOf({ rows }: BatchPlan): Map<BatchItem, Map<string, number>> {
  const moved = new Map<BatchItem, Map<string, number>>();
  for (const { row, item } of rows) {
    if (row.table !== 'payment_stats') continue;
    const { status, decline_reason: reason } = row.values;
    const by = row.adds?.['payments'] ?? 0;
    const places = moved.get(item) ?? new Map<string, number>();
    const place = `${String(status)} ${String(reason)}`;
    places.set(place, (places.get(place) ?? 0) + by);
    moved.set(item, places);
  }
  return moved;
}
