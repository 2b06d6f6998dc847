// Keys in memory: SHA-256 of the key to what it may do, so that a request costs no query. A key in
// use is asked about again in the background before it is too old to be trusted.
// Invariant: while Postgres answers, a revoked key is refused at most 2 s after the revocation.
import type { Clock } from '../io/clock.ts';

export interface Key {
  id: string;
  tenant: number;
  scopes: ReadonlySet<string>;
  /** A `tr_pub_…` key: public reasons only, limits by IP. */
  publishable: boolean;
  /** The tenant's own limits, as its settings say; see http/limits.ts. */
  limits: object;
}

/** Gives what is known about each hash (hex); unknown and revoked ones are left out. */
export type ResolveKeys = (hashes: readonly string[]) => Promise<ReadonlyMap<string, Key>>;

/** Postgres does not answer, and nothing recent is known about the key. */
export class KeysUnavailable extends Error {}

interface Entry {
  key: Key | null;
  checkedAt: number;
  refresh: Promise<void> | null;
}

/** Old enough to be asked about again, in the background. */
const REFRESH_MS = 750;
/** Too old to be used without asking. With the query's deadline it stays below 2 s. */
const STALE_MS = 1_000;
const LOOKUP_DEADLINE_MS = 800;
/** A Postgres outage does not stop callers that were known when it began. */
const OUTAGE_GRACE_MS = 10 * 60_000;
const OUTAGE_PAUSE_MS = 1_000;
const ENTRIES_MAX = 20_000;
const WAITING_MAX = 5_000;

const keyForm = /^tr_(live|test|pub)_[A-Za-z0-9_]{4,128}$/;

export class Keys {
  private readonly entries = new Map<string, Entry>();
  private waiting = new Map<string, Entry>();
  private batch: Promise<void> | null = null;
  private outageUntil = 0;

  constructor(
    private readonly resolve: ResolveKeys,
    private readonly clock: Clock,
  ) {}

  /** At once when the key is known; null for one that is unknown or revoked. */
  find(token: string): Key | null | Promise<Key | null> {
    if (!keyForm.test(token)) return null;
    const hash = Bun.SHA256.hash(token, 'hex');
    const now = this.clock();
    const entry = this.entries.get(hash);
    if (!entry) return this.ask(hash, this.remember(hash));
    const age = now - entry.checkedAt;
    if (age < REFRESH_MS) return entry.key;
    if (this.outageUntil > now && entry.key && age < OUTAGE_GRACE_MS) return entry.key;
    const asked = this.ask(hash, entry);
    if (age >= STALE_MS) return asked;
    // Its failure is seen by whoever asks when the entry has become stale.
    void asked.catch(() => {});
    return entry.key;
  }

  private remember(hash: string): Entry {
    const entry: Entry = { key: null, checkedAt: -Infinity, refresh: null };
    if (this.entries.size >= ENTRIES_MAX) this.forgetOldest();
    this.entries.set(hash, entry);
    return entry;
  }

  /** Entries in use move to the end with each refresh, so the first is the least recently used. */
  private forgetOldest(): void {
    const [oldest] = this.entries.keys();
    this.entries.delete(oldest!);
  }

  private async ask(hash: string, entry: Entry): Promise<Key | null> {
    try {
      await (entry.refresh ??= this.enqueue(hash, entry));
    } catch (error) {
      const age = this.clock() - entry.checkedAt;
      if (entry.key && age < OUTAGE_GRACE_MS) return entry.key;
      throw error;
    }
    return entry.key;
  }

  private async enqueue(hash: string, entry: Entry): Promise<void> {
    if (this.waiting.size >= WAITING_MAX) throw new KeysUnavailable('too many keys are looked up');
    this.waiting.set(hash, entry);
    try {
      // One query at a time; whatever waits when it returns goes with the next.
      while (this.waiting.has(hash)) await (this.batch ??= this.askBatch());
    } finally {
      entry.refresh = null;
    }
  }

  private async askBatch(): Promise<void> {
    await Promise.resolve();
    const asked = this.waiting;
    this.waiting = new Map();
    const askedAt = this.clock();
    try {
      const found = await beforeDeadline(this.resolve([...asked.keys()]));
      for (const [hash, entry] of asked) {
        entry.key = found.get(hash) ?? null;
        entry.checkedAt = askedAt;
        if (this.entries.delete(hash)) this.entries.set(hash, entry);
      }
    } catch (error) {
      this.outageUntil = this.clock() + OUTAGE_PAUSE_MS;
      for (const [hash, entry] of asked) if (!entry.key) this.entries.delete(hash);
      throw new KeysUnavailable(error instanceof Error ? error.message : 'lookup failed');
    } finally {
      this.batch = null;
    }
  }
}

async function beforeDeadline<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('lookup timed out')), LOOKUP_DEADLINE_MS);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
