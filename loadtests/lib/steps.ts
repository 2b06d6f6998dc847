// A load as steps one after the other, each a multiple of a mix of calls.
// Invariant: pure; also read outside of k6.

/** A part of a run: how many times the mix at its start and at its end. */
export interface Step {
  /** Unique in a run: tells its figures from the others'. */
  phase: string;
  seconds: number;
  from: number;
  to: number;
}

export const secondsOf = (steps: readonly Step[]): number =>
  steps.reduce((sum, { seconds }) => sum + seconds, 0);

/** The steps, made longer or shorter alike so that all take `seconds`; none less than a second. */
export function stretched(steps: readonly Step[], seconds: number): Step[] {
  const factor = seconds / secondsOf(steps);
  return steps.map((step) => ({
    ...step,
    seconds: Math.max(1, Math.round(step.seconds * factor)),
  }));
}

/** The highest multiple of the mix that was reached in the time that a run took. */
export function loadReached(steps: readonly Step[], seconds: number): number {
  let [reached, left] = [0, seconds];
  for (const step of steps) {
    if (left <= 0) break;
    const share = Math.min(1, left / step.seconds);
    reached = Math.max(reached, step.from, step.from + (step.to - step.from) * share);
    left -= step.seconds;
  }
  return reached;
}
