// Smoke: does every journey work at all? Ten seconds of almost nothing.
import type { Options } from 'k6/options';
import { prepare } from './lib/journeys.ts';
import { steady } from './lib/scenarios.ts';
import { thresholds } from './lib/thresholds.ts';

export { readBalance, redeem, sendEvents, validate } from './lib/journeys.ts';

export const options: Options = {
  scenarios: steady({ validate: 5, redeem: 5, sendEvents: 2, readBalance: 2 }, '10s'),
  thresholds,
};

export function setup(): void {
  prepare();
}
