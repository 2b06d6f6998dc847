// Which server is loaded, with whose key, how hard. All of it comes from the environment that
// `tallyrace load` sets; the defaults suit a laptop.
export const url = __ENV['TALLYRACE_URL'] ?? 'http://127.0.0.1:3000';
const key = __ENV['TALLYRACE_KEY'] ?? '';

/** Scales every rate: 1 is meant for two cores that also run k6. */
const scale = Number(__ENV['TALLYRACE_LOAD_SCALE'] ?? '1');

export const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };

export function rate(perSecond: number): number {
  return Math.max(1, Math.round(perSecond * scale));
}

/** Tells this run's ids and codes from those of every other run. */
export const run = __ENV['TALLYRACE_LOAD_RUN'] ?? 'manual';
