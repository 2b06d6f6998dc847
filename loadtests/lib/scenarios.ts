// Turns steps of a load into k6 scenarios of the open model: requests keep their timetable whether
// or not the server keeps up, as real callers do.
// Invariant: scenario names are unique in a run, since ids of events and orders are made of them.
import type { Options, Scenario } from 'k6/options';
import type * as journeys from './journeys.ts';
import { type Step, secondsOf, stretched } from './steps.ts';
import { scale, secondsOr } from './target.ts';
import type { Thresholds } from './thresholds.ts';

/** What callers do, in iterations per second, by the functions of journeys.ts. */
export type Mix = Record<Exclude<keyof typeof journeys, 'setup'>, number>;

/** An ordinary busy hour: 560 requests and 2,070 events a second. */
export const busyHour: Mix = {
  validate: 300,
  redeem: 40,
  sendEvent: 60,
  sendEvents: 80,
  readBalance: 50,
  followEvent: 5,
  waitForLedger: 5,
};

/**
 * Callers held ready for each iteration per second: a stall of that many seconds drops nothing. A
 * caller costs k6 about 0.4 MB, and one that is made during the run costs CPU then.
 */
const CALLERS_PER_RATE = 0.7;
const CALLERS_MIN = 10;
const LAST_ANSWERS = '15s';

/** All steps one after the other, each journey at its own rate. */
export function scenarios(mix: Mix, steps: readonly Step[]): Record<string, Scenario> {
  const made: Record<string, Scenario> = {};
  let startS = 0;
  for (const step of inTime(steps)) {
    for (const [exec, perSecond] of Object.entries<number>(mix))
      made[`${exec}_${step.phase}`] = {
        ...timetable(perSecond * scale, step),
        exec,
        startTime: `${startS}s`,
        gracefulStop: LAST_ANSWERS,
        tags: { phase: step.phase },
      };
    startS += step.seconds;
  }
  return made;
}

/** The steps in the time that was asked for. */
export function inTime(steps: readonly Step[]): Step[] {
  return stretched(steps, secondsOr(secondsOf(steps)));
}

function timetable(perSecond: number, { from, to, seconds }: Step): Scenario {
  const duration = `${seconds}s`;
  const rate = (load: number): number => Math.max(1, Math.round(perSecond * load));
  const preAllocatedVUs = Math.max(
    CALLERS_MIN,
    Math.ceil(rate(Math.max(from, to)) * CALLERS_PER_RATE),
  );
  const shared = { timeUnit: '1s', preAllocatedVUs };
  return from === to
    ? { ...shared, executor: 'constant-arrival-rate', rate: rate(to), duration }
    : {
        ...shared,
        executor: 'ramping-arrival-rate',
        startRate: rate(from),
        stages: [{ target: rate(to), duration }],
      };
}

/** What every kind of run shares. Few tags and no bodies, since both cost the generator. */
export function optionsOf(plan: Record<string, Scenario>, thresholds: Thresholds): Options {
  return {
    scenarios: plan,
    thresholds,
    discardResponseBodies: true,
    systemTags: ['name', 'status', 'scenario', 'check', 'expected_response'],
    summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
    userAgent: 'tallyrace-load',
  };
}
