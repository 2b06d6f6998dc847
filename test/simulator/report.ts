// A failed run in words: what was violated, what went wrong before, and what happened.
// Invariant: it can be run again from what it prints.
import { describeSchedule } from './schedule.ts';
import { shrink } from './shrink.ts';
import { type Outcome, type Plan, simulate } from './simulate.ts';

/** Calls that are made all the time; their failures are told, their answers are not. */
const ROUTINE = /(asks for|answer to) (renew|due|waiting|trim|raiseOffset|get|fill|read)/;
const LINES_MAX = 120;

export function explain(plan: Plan, run: (plan: Plan) => Outcome = traced): string {
  const smallest = shrink(plan, run);
  const { violation, lines, steps } = run(smallest);
  const told = lines.filter((line) => !ROUTINE.test(line) || line.includes('no answer'));
  const { traffic, schedule, seed } = smallest;
  const events = traffic.flatMap((entry) => entry.events);
  return [
    `seed ${seed} violates "${violation!.invariant}": ${violation!.text}`,
    `shrunk to ${schedule.times.length + schedule.calls.length} faults, ${events.length} events:`,
    ...describeSchedule(schedule).map((line) => `  ${line}`),
    `what happened, until step ${steps}:`,
    ...told.slice(-LINES_MAX),
    `again: npm run simulate -- --seed ${seed}`,
  ].join('\n');
}

function traced(plan: Plan): Outcome {
  return simulate(plan, { tracing: true });
}
