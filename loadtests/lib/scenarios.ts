// Turns rates into k6 scenarios of the open model: requests keep their timetable whether or not the
// server keeps up, as real callers do.
import type { Scenario } from 'k6/options';
import { rate } from './target.ts';

export interface Rates {
  validate: number;
  redeem: number;
  sendEvents: number;
  readBalance: number;
}

/** Callers in flight that k6 holds ready for each request per second; more would only cost memory. */
const CALLERS_PER_RATE = 0.5;
const CALLERS_MIN = 10;

/** Every journey at a steady rate for the whole time. */
export function steady(rates: Rates, duration: string): Record<string, Scenario> {
  return each(rates, (perSecond) => ({
    executor: 'constant-arrival-rate',
    rate: perSecond,
    timeUnit: '1s',
    duration,
    preAllocatedVUs: callers(perSecond),
  }));
}

/** Up, a plateau, and down again. */
export function plateau(rates: Rates, ramp: string, duration: string): Record<string, Scenario> {
  return each(rates, (perSecond) => ({
    executor: 'ramping-arrival-rate',
    startRate: 1,
    timeUnit: '1s',
    preAllocatedVUs: callers(perSecond),
    stages: [
      { target: perSecond, duration: ramp },
      { target: perSecond, duration },
      { target: 0, duration: ramp },
    ],
  }));
}

function each(rates: Rates, scenario: (perSecond: number) => Scenario): Record<string, Scenario> {
  return Object.fromEntries(
    Object.entries(rates).map(([exec, perSecond]: [string, number]) => [
      exec,
      { ...scenario(rate(perSecond)), exec },
    ]),
  );
}

function callers(perSecond: number): number {
  return Math.max(CALLERS_MIN, Math.ceil(perSecond * CALLERS_PER_RATE));
}
