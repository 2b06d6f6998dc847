// Chance from a seed. Draws for a call are a function of who makes it and which it is, so that
// taking one fault out of a schedule leaves the rest of the run as alike as can be.
// Invariant: the same seed and the same questions give the same answers.

/** Mixes integers to 32 bits: the finalizer of MurmurHash3 after each. */
export function mix(...values: number[]): number {
  let hash = 0x9e3779b9;
  for (const value of values) {
    hash = Math.imul(hash ^ value, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** Uniform in [0, 1). */
export function fraction(...values: number[]): number {
  return mix(...values) / 2 ** 32;
}

export class Chance {
  private drawn = 0;

  constructor(private readonly seed: number) {}

  readonly next = (): number => fraction(this.seed, this.drawn++);

  /** From `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]!;
  }
}
