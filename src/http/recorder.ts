// What requests leave behind: counts and durations by route, and a sample of access logs.
// Invariant: labels are route names and statuses, never anything a caller chose.
import type { Log } from '../io/log.ts';
import type { Counter, Family, Histogram, Metrics } from '../io/metrics.ts';

/** One access log line for so many requests of a route. */
const SAMPLE_EVERY = 1_000;
/**
 * Of what the server failed at, so many lines a second and route: an outage answers thousands of
 * requests, and one log line each would be a second outage. The counters count them all. On routes
 * that are polled none: a prober would only repeat what the fault has said already.
 */
const FAILURES_PER_SECOND = 10;

export class RouteMeter {
  private readonly counts: (Counter | undefined)[] = [];
  private requests = 0;
  private failureSecond = 0;
  private failures = 0;

  constructor(
    private readonly name: string,
    private readonly requestsTotal: Family,
    private readonly durations: readonly Histogram[],
    private readonly log: Log,
    private readonly polled: boolean,
  ) {}

  /** Of a request that was not let in: how long its refusal was held is no duration of ours. */
  refuse(status: number, request: RequestIds): void {
    this.count(status, 0, request);
  }

  record(status: number, durationMs: number, request: RequestIds): void {
    const seconds = durationMs / 1_000;
    for (let index = 0; index < this.durations.length; index++)
      this.durations[index]!.observe(seconds);
    this.count(status, durationMs, request);
  }

  private count(status: number, durationMs: number, request: RequestIds): void {
    (this.counts[status] ??= this.requestsTotal.labels(this.name, String(status))).inc();
    const sampled = this.requests++ % SAMPLE_EVERY === 0;
    if (!sampled && (status < 500 || !this.mayLogFailure())) return;
    const facts = { ...idsOf(request), route: this.name, status, duration_ms: durationMs };
    this.log[status < 500 ? 'info' : 'warn'](facts, 'request');
  }

  /** Whether a line about a failure is still within what this second may take. */
  mayLogFailure(): boolean {
    if (this.polled) return false;
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.failureSecond) {
      this.failureSecond = second;
      this.failures = 0;
    }
    return ++this.failures <= FAILURES_PER_SECOND;
  }
}

export interface RequestIds {
  requestId: string;
  /** Read only when a line is logged: it may have to be parsed. */
  traceparent?: string | undefined;
}

/** As log lines name them; the trace id is the second part of a W3C traceparent. */
export function idsOf({ requestId, traceparent }: RequestIds): object {
  return { request_id: requestId, trace_id: traceparent?.split('-')[1] };
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
