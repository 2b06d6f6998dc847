// Bugs planted on purpose: each must be found by the simulator within its budget, in a run that
// passes without it. What the simulator has found for real is among them, so that it stays found.
import { expect, test } from 'bun:test';
import { planted, withBug } from './planted.ts';
import { planOf, simulate } from './simulate.ts';

const SEEDS = 40;

test.each([...planted])(
  'finds an engine that $name',
  async (bug) => {
    const buggy = await withBug(bug);
    const from = bug.from ?? 1;
    for (let seed = from; seed < from + SEEDS; seed++) {
      const { violation } = buggy.simulate(planOf(seed), { mutations: bug.boundary });
      if (!violation) continue;
      expect(bug.violates).toContain(violation.invariant);
      expect(simulate(planOf(seed)).violation).toBeNull();
      return;
    }
    throw new Error(`not found in seeds ${from} to ${from + SEEDS - 1}`);
  },
  60_000,
);

test('a bug whose place is gone is an error', async () => {
  const moved = { ...planted[0]!, find: 'a text that is nowhere' };
  expect(await withBug(moved).catch(String)).toContain('not once in');
});
