// Spike: a quiet hour, six busy hours at once without a warning, and quiet again.
import { allowShedding } from './lib/requests.ts';
import { busyHour, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { overload } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

allowShedding();

const steps = [
  { phase: 'calm', seconds: 40, from: 0.5, to: 0.5 },
  { phase: 'peak', seconds: 30, from: 6, to: 6 },
  { phase: 'settling', seconds: 10, from: 0.5, to: 0.5 },
  { phase: 'recovery', seconds: 100, from: 0.5, to: 0.5 },
];

export const options = optionsOf(scenarios(busyHour, steps), overload());

export const handleSummary = summaryOf('spike', overload(), steps);
