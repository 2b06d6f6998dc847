// The balance cache in Redis, as src/cache/balances.ts keeps it: a hash an account, claimed by a
// reader before it reads the ledger, written by every commit from then on, and of use in its
// generation only.
// Invariant: a hash is never changed in place, so that a power loss can put the old one back.
import type { BalanceChange } from '../../src/cache/balances.ts';

export interface CachedHash {
  account: string;
  generation: number;
  claim: string;
  isComplete: boolean;
  units: ReadonlyMap<string, { sequence: number; balance: number }>;
  expiresMs: number;
  /** It may be from before a power loss. */
  isDistrusted: boolean;
}

/** Far shorter than in production, so that there are more claims to race with. */
const TTL_MS = 250;

export class CacheModel {
  private readonly hashes = new Map<string, CachedHash>();
  private generation = 0;

  constructor(
    private readonly now: () => number,
    private readonly note: (undo: () => void) => void,
  ) {}

  /** Hashes of the present generation. */
  current(): CachedHash[] {
    return [...this.hashes.keys()].flatMap((account) => this.find(account) ?? []);
  }

  find(account: string): CachedHash | undefined {
    const hash = this.hashes.get(account);
    const isCurrent = hash?.generation === this.generation && hash.expiresMs > this.now();
    return isCurrent ? hash : undefined;
  }

  /** The hash, claimed where it is of no use. */
  get(account: string, claim: string): CachedHash {
    const held = this.find(account);
    if (held) return held;
    const units = new Map<string, never>();
    const { generation } = this;
    const expiresMs = this.now() + TTL_MS;
    return this.put1({
      ...{ account, generation, claim, units, expiresMs, isComplete: false, isDistrusted: false },
    });
  }

  /** Gives the hashes that were written. `asDeltas` is a planted bug. */
  put(changes: readonly BalanceChange[], asDeltas: boolean): CachedHash[] {
    return changes.flatMap(({ account, unit, balance, sequence }) => {
      const hash = this.find(account);
      if (!hash) return [];
      const held = hash.units.get(unit);
      if (!asDeltas && held && held.sequence >= sequence) return [];
      const sum = asDeltas ? (held?.balance ?? 0) + balance : balance;
      return [this.put1(withUnit(hash, unit, sequence, sum))];
    });
  }

  fill(account: string, claim: string, balances: CachedHash['units']): CachedHash | null {
    let hash = this.find(account);
    if (!hash || hash.claim !== claim) return null;
    for (const [unit, { sequence, balance }] of balances) {
      const held = hash.units.get(unit);
      if (!held || held.sequence < sequence) hash = withUnit(hash, unit, sequence, balance);
    }
    return this.put1({ ...hash, isComplete: true });
  }

  expireAll(): void {
    const before = this.generation;
    this.generation++;
    this.note(() => (this.generation = before));
  }

  distrust(): void {
    for (const [account, hash] of this.hashes)
      this.hashes.set(account, { ...hash, isDistrusted: true });
  }

  private put1(hash: CachedHash): CachedHash {
    const before = this.hashes.get(hash.account);
    this.hashes.set(hash.account, hash);
    this.note(() => {
      if (before) this.hashes.set(hash.account, before);
      else this.hashes.delete(hash.account);
    });
    return hash;
  }
}

function withUnit(hash: CachedHash, unit: string, sequence: number, balance: number): CachedHash {
  return { ...hash, units: new Map(hash.units).set(unit, { sequence, balance }) };
}
