// Addresses that send keys nobody knows: each such key costs a look-up in Postgres, so an address
// has so many a minute looked up, by a bucket in this process. Keys that are known pass by here.
// Invariant: what is held does not grow with the number of addresses or keys that are tried.
import type { Clock } from '../io/clock.ts';
import { forgetBeyond } from './oldest.ts';

/** Guess: far above what an honest deployment gets wrong, far below what Postgres feels. */
export const UNKNOWN_KEYS_PER_MINUTE = 1_000;
const INTERVAL_MS = 60_000 / UNKNOWN_KEYS_PER_MINUTE;
const ADDRESSES_MAX = 10_000;

export class Strangers {
  /** When the bucket of an address will be full again. */
  private readonly fullAt = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  /** How long until the address may have a key looked up; 0 for now. */
  waitMs(address: string): number {
    const emptiedBy = (UNKNOWN_KEYS_PER_MINUTE - 1) * INTERVAL_MS;
    return Math.max(0, (this.fullAt.get(address) ?? 0) - emptiedBy - this.clock());
  }

  /** Taken before the look-up, so that many at once are as many as one after another. */
  take(address: string): void {
    const full = Math.max(this.fullAt.get(address) ?? 0, this.clock());
    // To the end, so that the first is the one that has been quiet longest.
    this.fullAt.delete(address);
    this.fullAt.set(address, full + INTERVAL_MS);
    forgetBeyond(ADDRESSES_MAX, this.fullAt);
  }

  /** The key was one of ours, or Postgres could not say. */
  giveBack(address: string): void {
    const full = this.fullAt.get(address);
    if (full !== undefined) this.fullAt.set(address, full - INTERVAL_MS);
  }
}
