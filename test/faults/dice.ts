// Every choice of a fault run comes from one seed. Forks have streams of their own, so that one
// client drawing more often does not change what another, or the schedule, draws.
// Invariant: the same seed and the same names give the same draws.
import { seededRandom } from '../../bench/lib/zipf.ts';

export class Dice {
  private readonly random: () => number;

  constructor(private readonly seed: number) {
    this.random = seededRandom(seed);
  }

  /** Dice of somebody else, by name. */
  fork(name: string): Dice {
    return new Dice(Number(Bun.hash.crc32(`${this.seed} ${name}`)));
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  pick<T>(from: readonly T[]): T {
    return from[this.between(0, from.length - 1)]!;
  }

  /** One of the names, each as likely as its weight says. */
  weighted<Name extends string>(weights: Partial<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) if ((left -= weight) < 0) return name;
    return entries.at(-1)![0];
  }
}
