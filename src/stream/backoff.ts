// Delays between attempts: exponential with full jitter, so that a herd does not come back as one.
// Source of the scheme: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

/** Milliseconds to wait before attempt `attempt` (from 1): uniform below base * 2^(attempt-1), capped. */
export function backoffMs(
  attempt: number,
  bounds: { baseMs: number; maxMs: number },
  random: () => number,
): number {
  const ceiling = Math.min(bounds.maxMs, bounds.baseMs * 2 ** Math.min(attempt - 1, 30));
  return Math.ceil(random() * ceiling);
}
