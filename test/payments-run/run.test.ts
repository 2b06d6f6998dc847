// The run itself, short: payments in trouble against the sandbox, with the worker killed meanwhile.
// The long one is `npm run prove:payments`.
import { expect, test } from 'bun:test';
import { provePayments } from './run.ts';

test('books are the gateways’ own after requests without answers, outages and a kill', async () => {
  const result = await provePayments(
    {
      ...{ payments: 150, seed: 11, clients: 40, kill: 'worker', webhooks: true },
      // A minute passes before an undecided one is asked for again.
      leftOut: ['decided later', 'declined later'],
      ...{ downMs: 500, holdMs: 200, pendingMs: 200 },
    },
    () => {},
  );
  const { wrong, accepted, capturedCharges, troubles, statuses, webhooks } = result;
  expect({ wrong, accepted }).toEqual({ wrong: [], accepted: 150 });
  expect(Object.keys(capturedCharges)).toEqual(['0', '1']);
  expect(troubles).toHaveLength(4);
  // Nothing would be shown had they all been bought in peace.
  expect(Object.keys(statuses).length).toBeGreaterThanOrEqual(6);
  expect(webhooks!.told).toBeGreaterThan(webhooks!.events);
}, 120_000);
