// Time is injected, so that tests can skew it and a simulator can decide it. Milliseconds since the
// epoch.
export type Clock = () => number;
export const systemClock: Clock = () => Date.now();

export interface Time {
  now(): number;
  /** Runs once, after so many milliseconds; gives what calls it off. */
  after(ms: number, run: () => void): () => void;
}

export const systemTime: Time = {
  now: systemClock,
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

export function sleep(ms: number, time: Time): Promise<void> {
  return new Promise((resolve) => void time.after(ms, resolve));
}
