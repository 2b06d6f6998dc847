// What a run came to: facts from k6's summary, to which `tallyrace load` adds what k6 cannot know.
// Invariant: pure; the same facts make the JSON, the page and the row.
import { type EndpointName, endpointNames } from './endpoints.ts';
import {
  ANY_COUNT,
  type Condition,
  SETUP_REQUESTS,
  type Thresholds,
  isLimit,
} from './thresholds.ts';

export const kinds = ['smoke', 'average', 'stress', 'spike', 'soak', 'breakpoint'] as const;
export type Kind = (typeof kinds)[number];

/** The part of k6's summary that is read here. */
export interface Summary {
  state: { testRunDurationMs: number };
  metrics: Record<string, SummaryMetric>;
}

export interface SummaryMetric {
  values: Record<string, number>;
  thresholds?: Record<string, { ok: boolean }>;
}

export interface Latency {
  count: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** The figures of one phase. */
export interface PhaseLatency extends Latency {
  /** Empty when they are of the whole run. */
  phase: string;
}

export interface EndpointFacts extends PhaseLatency {
  name: EndpointName;
}

export interface Verdict {
  metric: string;
  condition: string;
  observed: number;
  ok: boolean;
  /** Crossing it ends a breakpoint run, and fails nothing. */
  limit: boolean;
}

/** How the run was started. */
export interface About {
  kind: Kind;
  run: string;
  url: string;
  scale: number;
  /** The highest multiple of the script's mix of calls that was reached. */
  load: number;
  at: string;
}

/** What only the command knows, since it watches from outside. */
export interface Surroundings {
  commit: string;
  cpu: string;
  cores: number;
  generator: { version: string; cores: number };
  /** Cores used and memory in MB, by process. */
  servers: Record<string, { cores: number; rssMb: { first: number; peak: number; last: number } }>;
  /** Null where the stores cannot be reached from here. */
  verify: {
    ok: boolean;
    accepted: number;
    posted: number;
    pending: number;
    problems: string[];
  } | null;
}

export interface Report extends About {
  seconds: number;
  requests: number;
  requestsPerSecond: number;
  eventsPerSecond: number;
  failedShare: number;
  shedShare: number;
  dropped: number;
  /** The whole run first. */
  ledgerVisible: PhaseLatency[];
  endpoints: EndpointFacts[];
  verdicts: Verdict[];
  surroundings: Surroundings | null;
}

export function reportOf(
  about: About,
  { metrics, state }: Summary,
  thresholds: Thresholds,
): Report {
  const seconds = state.testRunDurationMs / 1_000;
  const value = (metric: string, name: string): number => metrics[metric]?.values[name] ?? 0;
  const requests = value('http_reqs', 'count') - value(SETUP_REQUESTS, 'count');
  return {
    ...about,
    seconds,
    requests,
    requestsPerSecond: requests / seconds,
    eventsPerSecond: value('events_accepted', 'count') / seconds,
    failedShare: value('http_req_failed', 'rate'),
    shedShare: requests > 0 ? value('shed', 'count') / requests : 0,
    dropped: value('dropped_iterations', 'count'),
    ledgerVisible: Object.entries(metrics)
      .filter(([metric]) => metric.split('{')[0] === 'ledger_visible')
      .map(([metric, { values }]) => ({
        phase: tagsOf(metric)['phase'] ?? '',
        ...latencyOf(values),
      }))
      .sort((a, b) => a.phase.localeCompare(b.phase)),
    endpoints: endpointsOf(metrics),
    verdicts: verdictsOf(metrics, thresholds),
    surroundings: null,
  };
}

/** True when all that had to hold held; a limit that was looked for may be crossed. */
export function passed({ verdicts, surroundings }: Report): boolean {
  const holds = verdicts.every(({ ok, limit }) => ok || limit);
  return holds && surroundings?.verify?.ok !== false;
}

/** The limits that ended a breakpoint run. */
export function crossedLimits({ verdicts }: Report): Verdict[] {
  return verdicts.filter(({ ok, limit }) => limit && !ok);
}

function latencyOf(values: Record<string, number>): Latency {
  const { count = 0, med = 0, max = 0 } = values;
  return {
    count,
    p50Ms: med,
    p95Ms: values['p(95)'] ?? 0,
    p99Ms: values['p(99)'] ?? 0,
    maxMs: max,
  };
}

function endpointsOf(metrics: Summary['metrics']): EndpointFacts[] {
  const order = (name: EndpointName): number => endpointNames.indexOf(name);
  return Object.entries(metrics)
    .flatMap(([metric, { values }]) => {
      const tags = tagsOf(metric);
      const name = endpointNames.find((each) => each === tags['name']);
      if (!metric.startsWith('http_req_duration{') || !name) return [];
      return [{ name, phase: tags['phase'] ?? '', ...latencyOf(values) }];
    })
    .sort((a, b) => a.phase.localeCompare(b.phase) || order(a.name) - order(b.name));
}

function tagsOf(metric: string): Record<string, string> {
  const inside = /\{(.*)\}$/.exec(metric)?.[1] ?? '';
  return Object.fromEntries(inside.split(',').map((tag) => tag.split(':', 2)));
}

function verdictsOf(metrics: Summary['metrics'], thresholds: Thresholds): Verdict[] {
  return Object.entries(thresholds).flatMap(([metric, conditions]) =>
    conditions.flatMap((condition) => {
      const text = textOf(condition);
      if (text === ANY_COUNT) return [];
      const found = metrics[metric];
      const observed = found?.values[text.split(/[<>=]/)[0]!] ?? 0;
      // A metric that never came has nothing to object to.
      const ok = found?.thresholds?.[text]?.ok ?? true;
      return [{ metric, condition: text, observed, ok, limit: isLimit(condition) }];
    }),
  );
}

function textOf(condition: Condition): string {
  return typeof condition === 'string' ? condition : condition.threshold;
}
