// The shortest run that still fails in the same way: takes out faults, entries and events, larger
// parts first, as long as the same invariant is violated.
// Invariant: what is given back was run, and failed.
import type { Outcome, Plan } from './simulate.ts';

const RUNS_MAX = 300;

export function shrink(plan: Plan, run: (plan: Plan) => Outcome): Plan {
  const { invariant } = run(plan).violation!;
  let runs = 0;
  let best = plan;
  const fails = (smaller: Plan): boolean => {
    if (runs++ >= RUNS_MAX || run(smaller).violation?.invariant !== invariant) return false;
    best = smaller;
    return true;
  };
  for (let before = ''; before !== JSON.stringify(best);) {
    before = JSON.stringify(best);
    const { schedule } = best;
    thin(schedule.times, (times) => fails({ ...best, schedule: { ...best.schedule, times } }));
    thin(schedule.calls, (calls) => fails({ ...best, schedule: { ...best.schedule, calls } }));
    thin(best.traffic, (traffic) => fails({ ...best, traffic }));
    for (const [index, entry] of best.traffic.entries())
      if (entry.events.length > 1)
        thin(entry.events, (events) =>
          fails({ ...best, traffic: best.traffic.with(index, { ...entry, events }) }),
        );
  }
  return best;
}

/** Tries the list without each of its parts, halves first; goes on from what still fails. */
function thin<T>(all: readonly T[], fails: (fewer: T[]) => boolean): void {
  let list = [...all];
  for (let size = Math.ceil(list.length / 2); size >= 1 && list.length > 0;) {
    let start = 0;
    while (start < list.length) {
      const fewer = [...list.slice(0, start), ...list.slice(start + size)];
      if (list.length > size || size === 1 ? fails(fewer) : false) list = fewer;
      else start += size;
    }
    size = size === 1 ? 0 : Math.ceil(size / 2);
  }
}
