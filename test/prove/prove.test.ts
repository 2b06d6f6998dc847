// The proof itself, short: a few of its attacks against real processes. The long run is
// `npm run prove:limits`.
import { expect, test } from 'bun:test';
import { prove } from './limits.ts';

test('limits hold when all come at once, and when Redis is emptied or fails over', async () => {
  const results = await prove(
    {
      ...{ milliseconds: 1_200, seed: 7, clients: 60, ingresses: 2, workers: 2 },
      only: ['distinct', 'per customer', 'emptied', 'lags'],
      target: null,
    },
    () => {},
  );
  expect(results.map(({ name, ok, wrong }) => ({ name, ok, wrong }))).toEqual(
    ['distinct orders', 'per customer', 'Redis emptied', 'replica lags'].map((name) => {
      return { name, ok: true, wrong: [] };
    }),
  );
  const [distinct, , , lagging] = results;
  expect(distinct).toMatchObject({ most: 500, over: 0, lockedOut: 0 });
  // Nothing would be shown if nobody had been told to come back.
  expect(lagging!.tally.unknown).toBeGreaterThan(0);
}, 120_000);
