// The engine under the simulator: a fixed budget of seeds, every invariant checked all along, and
// what a budget must have met. The same seed is the same run; a failure is shrunk and told in
// words. `npm run simulate` runs more.
import { expect, test } from 'bun:test';
import { explain } from './report.ts';
import { shrink } from './shrink.ts';
import { type Outcome, planOf, simulate } from './simulate.ts';

const SEEDS = 100;

/** A run that never met these has not looked where it hurts. */
const mustBeSeen = [
  ...['commit whose reply was lost', 'append without an answer', 'duplicate', 'refused', 'dead'],
  ...['retry: fenced', 'retry: repeat', 'retry: bisection', 'retry: pipeline', 'retry: slow'],
  ...['claimed', 'superseded', 'lost offset', 'torn append', 'balance cached by a commit', 'stop'],
  ...['crash', 'freeze', 'replace', 'cut', 'silence', 'Redis restarts', 'Postgres restarts'],
];

test('no schedule of faults breaks an invariant, and all that hurts was met', () => {
  const seen = new Set<string>();
  let steps = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = planOf(seed);
    const outcome = simulate(plan);
    if (outcome.violation) throw new Error(explain(plan));
    for (const what of outcome.seen.keys()) seen.add(what);
    steps += outcome.steps;
  }
  expect(mustBeSeen.filter((what) => !seen.has(what))).toEqual([]);
  expect(steps).toBeGreaterThan(400_000);
}, 60_000);

test('a seed replays exactly, told or not', () => {
  for (const seed of [3, 8, 21]) {
    const [one, other] = [simulate(planOf(seed)), simulate(planOf(seed), { tracing: true })];
    expect([other.hash, other.steps]).toEqual([one.hash, one.steps]);
    expect(other.lines.length).toBeGreaterThan(0);
  }
  expect(simulate(planOf(3)).hash).not.toBe(simulate(planOf(4)).hash);
});

test('a failure is shrunk to what it takes, and told in words', () => {
  const run = (plan: ReturnType<typeof planOf>): Outcome =>
    simulate(plan, { mutations: { checksNoEpoch: true }, tracing: true });
  const seed = [...Array(50).keys()].find((each) => run(planOf(each)).violation)!;
  const plan = planOf(seed);
  const smaller = shrink(plan, run);
  const size = ({ schedule, traffic }: typeof plan): number =>
    schedule.calls.length + schedule.times.length + traffic.length;
  expect(size(smaller)).toBeLessThan(size(plan));
  expect(run(smaller).violation?.invariant).toBe(run(plan).violation!.invariant);
  const told = explain(plan, run);
  expect(told).toContain(`--seed ${seed}`);
  expect(told).toContain('write');
});
