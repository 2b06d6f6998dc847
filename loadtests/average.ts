// Average load: an ordinary busy hour, in two minutes. Balance reads stay below the 1,000 per
// minute that a key has by default.
import type { Options } from 'k6/options';
import { prepare } from './lib/journeys.ts';
import { plateau } from './lib/scenarios.ts';
import { thresholds } from './lib/thresholds.ts';

export { readBalance, redeem, sendEvents, validate } from './lib/journeys.ts';

export const options: Options = {
  scenarios: plateau({ validate: 400, redeem: 50, sendEvents: 100, readBalance: 10 }, '15s', '90s'),
  thresholds,
};

export function setup(): void {
  prepare();
}
