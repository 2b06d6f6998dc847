// What a worker measures, bound once. Names after notes of the ecosystem: base units, `_total`.
import { type Metrics, SIZE_BUCKETS } from '../io/metrics.ts';
import type { BatchPlan } from '../ledger/batch.ts';
import type { StreamHealth } from './upkeep.ts';

export class WorkerMetrics {
  readonly batchEvents;
  readonly flushSeconds;
  readonly claimed;
  readonly deleted;
  readonly activePartners;
  readonly deadLetters;
  private readonly duplicates;
  private readonly endToEnd;
  private readonly verdicts;
  private readonly entries;
  private readonly partnerEarnings;
  private readonly retries;
  private readonly health;

  constructor(metrics: Metrics) {
    this.batchEvents = metrics
      .histogram('tallyrace_batch_size', 'Events in a batch', [], SIZE_BUCKETS)
      .labels();
    this.flushSeconds = metrics
      .histogram('tallyrace_flush_duration_seconds', 'One write to the ledger')
      .labels();
    this.endToEnd = metrics
      .histogram('tallyrace_ledger_end_to_end_seconds', 'From accepted to committed, per event')
      .labels();
    const events = metrics.counter(
      'tallyrace_events_settled_total',
      'Events accounted for in the ledger, by what became of them',
      ['verdict'],
    );
    this.verdicts = {
      posted: events.labels('posted'),
      refused: events.labels('refused'),
      dead: events.labels('dead'),
      duplicate: events.labels('duplicate'),
      deferred: events.labels('deferred'),
    };
    this.entries = metrics.counter('tallyrace_entries_total', 'Ledger entries written').labels();
    this.partnerEarnings = metrics
      .counter('partner_earnings_processed_total', 'Earnings posted to partners')
      .labels();
    this.retries = metrics.counter(
      'tallyrace_write_retries_total',
      'Writes that were tried again, by reason',
      ['reason'],
    );
    this.claimed = metrics
      .counter('tallyrace_claimed_entries_total', 'Stream entries claimed from earlier readers')
      .labels();
    this.deleted = metrics
      .counter('tallyrace_deleted_pending_total', 'Pending entries that were gone from the stream')
      .labels();
    this.activePartners = metrics
      .gauge('partner_active_count', 'Partners that are active')
      .labels();
    this.deadLetters = metrics
      .gauge('tallyrace_dlq_entries', 'Dead letters that nobody has retried or discarded')
      .labels();
    this.duplicates = metrics
      .counter('tallyrace_duplicates_total', 'Events that came again, and had no second effect')
      .labels();
    const gauge = (name: string, help: string) => metrics.gauge(name, help, ['stream']);
    this.health = {
      length: gauge('tallyrace_stream_length', 'Entries in the stream'),
      backlog: gauge('tallyrace_stream_lag', 'Events appended and not settled'),
      oldest: gauge('tallyrace_stream_oldest_pending_seconds', 'Age of the oldest open entry'),
    };
  }

  settled(plan: BatchPlan, nowMs: number): void {
    for (const counts of plan.counts.values()) {
      this.verdicts.posted.inc(counts.posted);
      this.verdicts.refused.inc(counts.refused);
      this.verdicts.dead.inc(counts.dead);
      this.verdicts.duplicate.inc(counts.duplicate);
      this.duplicates.inc(counts.duplicate);
      if (counts.deferred > 0) this.verdicts.deferred.inc(counts.deferred);
    }
    let written = 0;
    let [acceptedAt, events] = [0, 0];
    for (const { item, entries } of plan.outcomes) {
      written += entries.length;
      for (const { slot, amount } of entries)
        if (amount > 0 && slot.account.startsWith('partner:')) this.partnerEarnings.inc();
      // Events of one request share the time, and come one after the other.
      if (item.event.acceptedAt !== acceptedAt) {
        this.observeAge(nowMs - acceptedAt, events);
        [acceptedAt, events] = [item.event.acceptedAt, 0];
      }
      events++;
    }
    this.observeAge(nowMs - acceptedAt, events);
    this.entries.inc(written);
  }

  private observeAge(ageMs: number, events: number): void {
    if (events > 0) this.endToEnd.observe(Math.max(0, ageMs) / 1000, events);
  }

  retried(reason: string): void {
    this.retries.labels(reason).inc();
  }

  streamHealth(health: StreamHealth): void {
    this.health.length.labels(health.name).set(health.length);
    this.health.backlog.labels(health.name).set(health.backlog);
    this.health.oldest.labels(health.name).set(health.oldestPendingMs / 1000);
  }
}
