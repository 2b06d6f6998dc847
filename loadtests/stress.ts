// Stress: climbs to four busy hours at once, stays, and comes back. What is too much is turned away
// in order, nothing fails, and afterwards all is as before.
import { allowShedding } from './lib/requests.ts';
import { busyHour, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { overload } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

allowShedding();

const steps = [
  { phase: 'climb', seconds: 60, from: 1, to: 4 },
  { phase: 'peak', seconds: 90, from: 4, to: 4 },
  { phase: 'settling', seconds: 10, from: 1, to: 1 },
  { phase: 'recovery', seconds: 80, from: 1, to: 1 },
];

export const options = optionsOf(scenarios(busyHour, steps), overload());

export const handleSummary = summaryOf('stress', overload(), steps);
