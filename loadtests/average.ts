// Average load: an ordinary busy hour, in three minutes.
import { busyHour, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { normal } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

const steps = [
  { phase: 'ramp', seconds: 20, from: 0, to: 1 },
  { phase: 'steady', seconds: 150, from: 1, to: 1 },
  { phase: 'end', seconds: 10, from: 1, to: 0 },
];

export const options = optionsOf(scenarios(busyHour, steps), normal());

export const handleSummary = summaryOf('average', normal(), steps);
