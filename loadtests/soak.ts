// Soak: most of a busy hour for long enough that a leak, a growing queue or a slower ledger shows.
import { busyHour, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { normal } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

const steps = [
  { phase: 'ramp', seconds: 20, from: 0, to: 0.7 },
  { phase: 'steady', seconds: 580, from: 0.7, to: 0.7 },
];

export const options = optionsOf(scenarios(busyHour, steps), normal());

export const handleSummary = summaryOf('soak', normal(), steps);
