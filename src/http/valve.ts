// How many may come in while requests have to wait: a controller (as PIE, RFC 8033) that moves the
// refused share by how long waiting takes and by whether it grows. Pure: told what was measured.
// Invariant: a burst that is worked off within a moment refuses nobody.

/** What lasts longer is no burst but a queue that stands. */
const PATIENCE_MS = 200;
/** A second at twice the longest wait refuses 70 % more of all; a second of no wait, 70 % less. */
const BY_WAIT_PER_S = 0.7;
/** Growth by the longest wait refuses 30 % more, and shrinking as much less. */
const BY_GROWTH = 0.3;
/** A few always come in, and show whether it has become better. */
const REFUSED_MAX = 0.98;
/** Samples become rare as waits become long; none speaks for a longer time than this. */
const STEP_S_MAX = 0.5;
/** What one sample may say, in longest waits: more would swing to and fro. */
const EXCESS_MAX = 3;
const GROWTH_MAX = 1;

export class Valve {
  /** Of all who ask, from 0 to almost 1. */
  refusedShare = 0;
  private credit = 0;
  private seenMs = 0;
  private lastWaitMs = 0;
  /** Since when each wait was too long. */
  private longSinceMs: number | null = null;

  constructor(private readonly waitMsMax: number) {}

  /** `waitMs`: how long something had waited that was served at `nowMs`. */
  observe(waitMs: number, nowMs: number): void {
    const { waitMsMax } = this;
    const stepS = Math.min((nowMs - this.seenMs) / 1_000, STEP_S_MAX);
    const excess = (waitMs - waitMsMax) / waitMsMax;
    const growth = (waitMs - this.lastWaitMs) / waitMsMax;
    this.seenMs = nowMs;
    this.lastWaitMs = waitMs;
    if (excess <= 0) this.longSinceMs = null;
    else this.longSinceMs ??= nowMs;
    const stands = this.longSinceMs !== null && nowMs - this.longSinceMs >= PATIENCE_MS;
    if (this.refusedShare === 0 && !stands) return;
    const change =
      BY_WAIT_PER_S * bounded(excess, EXCESS_MAX) * stepS + BY_GROWTH * bounded(growth, GROWTH_MAX);
    this.refusedShare = Math.min(REFUSED_MAX, Math.max(0, this.refusedShare + change));
  }

  /** Evenly: of a third every third comes in, not whoever is lucky. */
  admits(): boolean {
    if (this.refusedShare === 0) return true;
    this.credit += 1 - this.refusedShare;
    if (this.credit < 1) return false;
    this.credit -= 1;
    return true;
  }
}

function bounded(value: number, max: number): number {
  return Math.max(-max, Math.min(max, value));
}
