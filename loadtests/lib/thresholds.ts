// What counts as passed, for every kind of run. A phase is a part of a run: its scenarios carry it
// as a tag.
// Invariants: pure; also read outside of k6. Dropped iterations fail a run wherever the server is
// meant to keep up, since a generator that misses its timetable measures itself.
import { type EndpointName, LEDGER_VISIBLE_P95_MS, endpointNames, endpoints } from './endpoints.ts';

/** As k6 takes them: metrics, with the conditions that each must meet. */
export type Thresholds = Record<string, Condition[]>;
export type Condition = string | { threshold: string; abortOnFail: true; delayAbortEval: string };

/** 429 and 503 under more load than there is room for: told in order, so that they are no failure. */
export const SHED_STATUSES = [429, 503] as const;

/** A condition that always holds: k6 keeps the figure of a tag only for a condition on it. */
export const ANY_COUNT = 'count>=0';
export const SETUP_REQUESTS = 'http_reqs{name:setup}';

/** For every kind: no failures, no wrong answers. */
const always = {
  http_req_failed: ['rate<0.001'],
  checks: ['rate>0.999'],
  [SETUP_REQUESTS]: [ANY_COUNT],
};
/** Who was let in while others were turned away still gets an answer that is worth having. */
const ADMITTED_P95_MS = 1_000;
/** A ramp passes its break point quickly; a stall of the machine must not look like it. */
const NOT_SERVED_MAX = 200;
const SETTLING = '10s';

const p95 = (ms: number): string => `p(95)<${ms}`;
const durationOf = (name: EndpointName, ...tags: string[]): string =>
  `http_req_duration{${[`name:${name}`, ...tags].join(',')}}`;

function each(conditions: (name: EndpointName) => [metric: string, Condition][]): Thresholds {
  const found: Thresholds = {};
  for (const name of endpointNames)
    for (const [metric, condition] of conditions(name)) found[metric] = [condition];
  return found;
}

/** Load that the installation is meant for: everything in time, nothing turned away. */
export function normal(): Thresholds {
  return {
    ...always,
    dropped_iterations: ['count<1'],
    ledger_visible: [p95(LEDGER_VISIBLE_P95_MS)],
    ...each((name) => [[durationOf(name), p95(endpoints[name].p95Ms)]]),
  };
}

/** More load than that, then the ordinary one again: sheds in order at the peak, and recovers. */
export function overload(): Thresholds {
  return {
    ...always,
    'shed{phase:recovery}': ['count<1'],
    'shed{phase:peak}': [ANY_COUNT],
    'dropped_iterations{phase:recovery}': ['count<1'],
    'ledger_visible{phase:recovery}': [p95(LEDGER_VISIBLE_P95_MS)],
    ...each((name) => [
      [durationOf(name, 'phase:peak', `status:${endpoints[name].status}`), p95(ADMITTED_P95_MS)],
      [durationOf(name, 'phase:recovery'), p95(endpoints[name].p95Ms)],
    ]),
  };
}

/** A ramp without a top: the first of these to be crossed ends the run, and names the limit. */
export function breaking(): Thresholds {
  const limit = (threshold: string): Condition => ({
    threshold,
    abortOnFail: true,
    delayAbortEval: SETTLING,
  });
  return {
    ...always,
    dropped_iterations: [limit(`count<${NOT_SERVED_MAX}`)],
    shed: [limit(`count<${NOT_SERVED_MAX}`)],
    ledger_visible: [limit(p95(LEDGER_VISIBLE_P95_MS))],
    ...each((name) => [[durationOf(name), limit(p95(endpoints[name].p95Ms))]]),
  };
}

/** Crossing such a condition is what the run was for, and fails nothing. */
export function isLimit(condition: Condition): boolean {
  return typeof condition !== 'string' && condition.abortOnFail;
}
