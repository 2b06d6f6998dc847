// Breakpoint: more and more, until a limit is crossed. That ends the run; the report names the
// limit and the load at which it was crossed.
import { allowShedding } from './lib/requests.ts';
import { busyHour, optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { breaking } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

allowShedding();

const steps = [{ phase: 'climb', seconds: 300, from: 0, to: 8 }];

export const options = optionsOf(scenarios(busyHour, steps), breaking());

export const handleSummary = summaryOf('breakpoint', breaking(), steps);
