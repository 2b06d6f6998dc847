// Smoke: does every journey work at all? Half a minute of almost nothing.
import { type Mix, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { normal } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

const little: Mix = {
  validate: 10,
  redeem: 5,
  sendEvent: 5,
  sendEvents: 2,
  readBalance: 5,
  followEvent: 2,
  waitForLedger: 2,
};
const steps = [{ phase: 'steady', seconds: 30, from: 1, to: 1 }];

export const options = optionsOf(scenarios(little, steps), normal());

export const handleSummary = summaryOf('smoke', normal(), steps);
