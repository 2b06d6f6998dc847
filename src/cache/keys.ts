// Keys in memory: SHA-256 of the key to what it may do, so that a request costs no query. A key in
// use is asked about again in the background before it is too old to be trusted. Keys that nobody
// knows are remembered apart, so that a flood of them pushes out none that is known.
// Invariant: while Postgres answers, a revoked key is refused at most 2 s after the revocation.
import type { Clock } from '../io/clock.ts';
import { within } from '../io/deadline.ts';
import { forgetBeyond } from './oldest.ts';
import { Strangers } from './strangers.ts';

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

/** Who sends the key; asked only for one that is not known. */
export interface Sender {
  readonly ip: string;
}

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
const KNOWN_MAX = 20_000;
const UNKNOWN_MAX = 10_000;
const WAITING_MAX = 5_000;

const keyForm = /^tr_(live|test|pub)_[A-Za-z0-9_]{4,128}$/;

export class Keys {
  private readonly known = new Map<string, Entry>();
  private readonly unknown = new Map<string, Entry>();
  private readonly strangers: Strangers;
  private waiting = new Map<string, Entry>();
  private batch: Promise<void> | null = null;
  private outageUntil = 0;

  constructor(
    private readonly resolve: ResolveKeys,
    private readonly clock: Clock,
  ) {
    this.strangers = new Strangers(clock);
  }

  /** At once when the key is known; null for one that is unknown or revoked, or whose sender has
   * had too many looked up (see `waitMs`). */
  find(token: string, sender: Sender): Key | null | Promise<Key | null> {
    if (!keyForm.test(token)) return null;
    const hash = Bun.SHA256.hash(token, 'hex');
    const now = this.clock();
    const entry = this.known.get(hash) ?? this.unknown.get(hash);
    if (!entry) return this.meet(hash, sender.ip);
    const age = now - entry.checkedAt;
    if (age < REFRESH_MS) return entry.key;
    if (this.outageUntil > now && entry.key && age < OUTAGE_GRACE_MS) return entry.key;
    const asked = this.ask(hash, entry);
    if (age >= STALE_MS) return asked;
    // Its failure is seen by whoever asks when the entry has become stale.
    void asked.catch(() => {});
    return entry.key;
  }

  /** How long the sender must wait until a key that is not known is looked up; 0 for not at all. */
  waitMs(sender: Sender): number {
    return this.strangers.waitMs(sender.ip);
  }

  private meet(hash: string, ip: string): null | Promise<Key | null> {
    if (this.strangers.waitMs(ip) > 0) return null;
    this.strangers.take(ip);
    const entry: Entry = { key: null, checkedAt: -Infinity, refresh: null };
    this.unknown.set(hash, entry);
    forgetBeyond(UNKNOWN_MAX, this.unknown);
    return this.introduce(hash, entry, ip);
  }

  private async introduce(hash: string, entry: Entry, ip: string): Promise<Key | null> {
    let isStranger = false;
    try {
      const key = await this.ask(hash, entry);
      isStranger = key === null;
      return key;
    } finally {
      if (!isStranger) this.strangers.giveBack(ip);
    }
  }

  /** To the end of where it belongs: the first of each is the least recently used. */
  private file(hash: string, entry: Entry): void {
    this.known.delete(hash);
    const wasUnknown = this.unknown.delete(hash);
    const entries = entry.key ? this.known : this.unknown;
    // One that was pushed out meanwhile stays out, unless it is a key of ours.
    if (!entry.key && !wasUnknown && entries.size >= UNKNOWN_MAX) return;
    entries.set(hash, entry);
    forgetBeyond(KNOWN_MAX, this.known);
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
      const found = await within(this.resolve([...asked.keys()]), LOOKUP_DEADLINE_MS);
      for (const [hash, entry] of asked) {
        entry.key = found.get(hash) ?? null;
        entry.checkedAt = askedAt;
        this.file(hash, entry);
      }
    } catch (error) {
      this.outageUntil = this.clock() + OUTAGE_PAUSE_MS;
      for (const [hash, entry] of asked) if (!entry.key) this.unknown.delete(hash);
      throw new KeysUnavailable(error instanceof Error ? error.message : 'lookup failed');
    } finally {
      this.batch = null;
    }
  }
}
