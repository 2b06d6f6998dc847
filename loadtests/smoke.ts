// Smoke: does every journey work at all? Half a minute of almost nothing.
import { optionsOf, scenarios } from './lib/scenarios.ts';
import { summaryOf } from './lib/summary.ts';
import { normal } from './lib/thresholds.ts';

export * from './lib/journeys.ts';

const calls = { validate: 10, redeem: 5, sendEvent: 5, sendEvents: 2, readBalance: 5 };

export const options = optionsOf(
  scenarios({ ...calls, followEvent: 2, waitForLedger: 2 }, [
    { phase: 'steady', seconds: 30, from: 1, to: 1 },
  ]),
  normal(),
);

export const handleSummary = summaryOf('smoke', normal());
