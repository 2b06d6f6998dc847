// What requests leave behind: counts and durations by route, and a sample of access logs.
// Invariant: labels are route names and statuses, never anything a caller chose.
import type { Log } from '../io/log.ts';
import type { Counter, Family, Histogram, Metrics } from '../io/metrics.ts';

/**
 * One access log line for so many requests of a route. What the server failed at is all logged, but
 * not on routes that are polled: a prober would fill the log with what the fault has said already.
 */
const SAMPLE_EVERY = 1_000;

export class RouteMeter {
  private readonly counts: (Counter | undefined)[] = [];
  private requests = 0;

  constructor(
    private readonly name: string,
    private readonly requestsTotal: Family,
    private readonly durations: readonly Histogram[],
    private readonly log: Log,
    private readonly polled: boolean,
  ) {}

  record(status: number, durationMs: number, requestId: string): void {
    const seconds = durationMs / 1_000;
    (this.counts[status] ??= this.requestsTotal.labels(this.name, String(status))).inc();
    for (let index = 0; index < this.durations.length; index++)
      this.durations[index]!.observe(seconds);
    const failed = status >= 500 && !this.polled;
    if (this.requests++ % SAMPLE_EVERY !== 0 && !failed) return;
    const facts = { request_id: requestId, route: this.name, status, duration_ms: durationMs };
    this.log[status < 500 ? 'info' : 'warn'](facts, 'request');
  }
}

export class Recorder {
  private readonly requestsTotal: Family;
  private readonly durationSeconds: Family;
  private readonly partnerSeconds: Family;

  constructor(
    metrics: Metrics,
    private readonly log: Log,
  ) {
    this.requestsTotal = metrics.counter(
      'tallyrace_http_requests_total',
      'Requests answered, by route and status.',
      ['route', 'status'],
    );
    this.durationSeconds = metrics.histogram(
      'tallyrace_http_request_duration_seconds',
      'From the headers of a request to its answer, by route.',
      ['route'],
    );
    this.partnerSeconds = metrics.histogram(
      'partner_api_latency_seconds',
      'From the headers of a request to its answer, over all partner routes.',
    );
  }

  route(name: string, tag: string): RouteMeter {
    const durations: Histogram[] = [this.durationSeconds.labels(name)];
    if (tag === 'partners') durations.push(this.partnerSeconds.labels());
    return new RouteMeter(name, this.requestsTotal, durations, this.log, tag === 'operations');
  }
}
