// Which installation is loaded, with whose key, how hard and for how long. `tallyrace load` sets
// all of it in the environment; the defaults suit `k6 run` by hand against a laptop.
export const url = __ENV['TALLYRACE_URL'] ?? 'http://127.0.0.1:3000';
export const key = __ENV['TALLYRACE_KEY'] ?? '';

/** Tells this run's ids and codes from those of every other run. */
export const run = __ENV['TALLYRACE_LOAD_RUN'] ?? `by-hand-${Date.now().toString(36)}`;

/** Multiplies every rate: 1 is meant for two cores that also run k6. */
export const scale = Number(__ENV['TALLYRACE_LOAD_SCALE'] ?? '1');

/** How long the whole load takes; every step is shortened or stretched alike. */
export function secondsOr(standard: number): number {
  return Number(__ENV['TALLYRACE_LOAD_SECONDS'] ?? standard);
}

/** Where the reports go, as a path without its ending; unset writes none. */
export const results = __ENV['TALLYRACE_LOAD_RESULTS'];
