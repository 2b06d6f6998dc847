// Spike: a quiet hour, eight busy hours at once without a warning, and quiet again.
import { allowShedding } from './lib/requests.ts';
import { busyHour, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { overload } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

allowShedding();

export const options = optionsOf(
  scenarios(busyHour, [
    { phase: 'calm', seconds: 40, from: 0.5, to: 0.5 },
    { phase: 'peak', seconds: 30, from: 8, to: 8 },
    { phase: 'settling', seconds: 10, from: 0.5, to: 0.5 },
    { phase: 'recovery', seconds: 100, from: 0.5, to: 0.5 },
  ]),
  overload(),
);

export const handleSummary = summaryOf('spike', overload());
