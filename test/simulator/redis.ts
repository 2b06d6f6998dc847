// Redis as far as the engine can tell: streams with one consumer group, offset counters, and the
// balance cache. Each method is one command or one script: it happens at once, and as a whole.
// Everything is journalled, so that a power loss can take back the last moments.
// Invariants checked on the spot: what is acknowledged is committed; what is trimmed was
// acknowledged; a cached balance is one that the ledger had; what is announced is in the cache.
import type { BalanceChange } from '../../src/cache/balances.ts';
import type { Conclusion, StreamEntry, StreamFill } from '../../src/stream/ports.ts';
import type { StreamId } from '../../src/stream/topology.ts';
import { type CachedHash, CacheModel } from './cache.ts';
import type { Checks } from './checks.ts';
import type { Mutations } from './mutations.ts';
import type { PlannedEvent } from './traffic.ts';

export interface KeptEntry extends StreamEntry {
  number: number;
  partition: number;
  atMs: number;
  events: readonly PlannedEvent[];
  damage: 'none' | 'foreign' | 'cut';
  /** Taken back by a power loss. */
  isLost: boolean;
}

interface Group {
  delivered: number;
  /** Entry number to consumer. */
  pending: Map<number, string>;
}

class StreamModel {
  entries: KeptEntry[] = [];
  trimmedTo = 0;
  group: Group | null = null;
  counter = 0;
  announced = 0;
}

interface WaitingRead {
  partitions: readonly number[];
  count: number;
  consumer: string;
  deliver(found: KeptEntry[][]): void;
}

const CLAIM_PAGE = 2;
const MUTATED_LENGTH_MAX = 3;

export class RedisModel {
  readonly streams = new Map<number, StreamModel>();
  readonly cache: CacheModel;
  /** Every entry that was ever appended. */
  readonly appended: KeptEntry[] = [];
  /** Balances that commits wrote into the cache. */
  puts = 0;
  /** Offsets that a power loss has left without their entry. */
  torn = 0;
  /** The append that was taken back last: the first of those that are gone. */
  private undone: KeptEntry | null = null;
  private journal: { atMs: number; undo: () => void }[] = [];
  private waiting: WaitingRead[] = [];
  private lastNumber = 0;

  constructor(
    private readonly now: () => number,
    private readonly checks: Checks,
    private readonly mutations: Mutations,
    private readonly onAnnounced: (partition: number, offset: number) => void,
  ) {
    this.cache = new CacheModel(now, (undo) => this.note(undo));
  }

  stream(partition: number): StreamModel {
    let stream = this.streams.get(partition);
    if (!stream) this.streams.set(partition, (stream = new StreamModel()));
    return stream;
  }

  append(
    partition: number,
    events: readonly PlannedEvent[],
    { blob, damage, settled }: { blob: Buffer; damage: KeptEntry['damage']; settled: number },
  ): number {
    const stream = this.stream(partition);
    const first = Math.max(stream.counter, settled) + 1;
    if (damage !== 'foreign') this.set(stream, 'counter', first + events.length - 1);
    const number = ++this.lastNumber;
    const entry: KeptEntry = {
      ...{ id: String(number), number, partition, atMs: this.now(), events, damage, blob },
      first: damage === 'foreign' ? NaN : first,
      count: damage === 'foreign' ? NaN : events.length,
      isLost: false,
    };
    stream.entries.push(entry);
    this.appended.push(entry);
    this.note(() => {
      entry.isLost = true;
      stream.entries.pop();
      this.undone = entry;
    });
    for (const waiter of [...this.waiting]) this.serve(waiter);
    return first;
  }

  ensureGroup(partition: number): void {
    const stream = this.stream(partition);
    if (!stream.group) this.set(stream, 'group', { delivered: 0, pending: new Map() });
  }

  /** Gives what calls the wait off, or null when it was served at once. */
  read(waiter: WaitingRead): (() => void) | null {
    for (const partition of waiter.partitions)
      if (!this.stream(partition).group) throw new Error('NOGROUP no such key or group');
    this.waiting.push(waiter);
    if (this.serve(waiter)) return null;
    return () => void this.drop(waiter);
  }

  claim(partition: number, cursor: string | null, consumer: string) {
    const stream = this.stream(partition);
    if (!stream.group) throw new Error('NOGROUP no such key or group');
    const { pending } = stream.group;
    const numbers = [...pending.keys()].filter((number) => number >= Number(cursor ?? 0)).sort(up);
    const entries: KeptEntry[] = [];
    let deleted = 0;
    for (const number of numbers.slice(0, CLAIM_PAGE)) {
      const entry = stream.entries.find((each) => each.number === number);
      if (entry && number > stream.trimmedTo) {
        entries.push(entry);
        this.putPending(pending, number, consumer);
      } else {
        deleted++;
        this.checks.violate('trim', `entry ${number} was trimmed while it was pending`);
        this.putPending(pending, number, null);
      }
    }
    const next = numbers[CLAIM_PAGE];
    return { entries, deleted, cursor: next === undefined ? null : String(next) };
  }

  /** One command of the pipeline that follows a commit. */
  announce({ partition }: StreamId, offset: number): void {
    this.checks.announced(partition, offset, this.cache);
    this.set(this.stream(partition), 'announced', offset);
    this.onAnnounced(partition, offset);
  }

  acknowledge({ stream: { partition }, acknowledge }: Conclusion): void {
    const { group, entries } = this.stream(partition);
    for (const id of acknowledge) {
      const entry = entries.find((each) => each.id === id);
      if (entry) this.checks.acknowledged(entry);
      if (group?.pending.has(Number(id))) this.putPending(group.pending, Number(id), null);
    }
  }

  trim(partition: number): StreamFill {
    const stream = this.stream(partition);
    const { counter: lastOffset } = stream;
    if (!stream.group)
      return { length: 0, oldestMs: 0, oldestPending: '', lastOffset, isThrough: false };
    const { pending, delivered } = stream.group;
    const lowest = Math.min(...pending.keys());
    const held = stream.entries.filter(({ number }) => number > stream.trimmedTo);
    const watermark = this.mutations.trimsByLength
      ? (held.at(-MUTATED_LENGTH_MAX)?.number ?? 0)
      : Math.min(lowest, delivered);
    for (const { number } of held)
      if (number < watermark && (pending.has(number) || number > delivered))
        this.checks.violate('trim', `entry ${number} was trimmed before it was acknowledged`);
    if (watermark - 1 > stream.trimmedTo) this.set(stream, 'trimmedTo', watermark - 1);
    const oldestPending = pending.size === 0 ? '' : String(lowest);
    const oldest = held.find(({ number }) => pending.has(number) || number > delivered);
    const isThrough = oldest === undefined;
    return {
      length: held.length,
      oldestMs: oldest?.atMs ?? 0,
      oldestPending,
      lastOffset,
      isThrough,
    };
  }

  raiseOffset(partition: number, settled: number): number {
    const stream = this.stream(partition);
    const behind = settled - stream.counter;
    if (behind > 0) this.set(stream, 'counter', settled);
    return Math.max(0, behind);
  }

  put(changes: readonly BalanceChange[]): void {
    const written = this.cache.put(changes, this.mutations.writesDeltas);
    for (const hash of written) this.checks.cached(hash);
    this.puts += written.length;
  }

  fill(account: string, claim: string, balances: CachedHash['units']): void {
    const hash = this.cache.fill(account, claim, balances);
    if (hash) this.checks.cached(hash);
  }

  /**
   * Takes back what was done in the last so many milliseconds, as a lost tail of the file would.
   * Of the first append that is gone, a torn file keeps the offset that it gave out.
   */
  losePower({ tailMs, isTorn }: { tailMs: number; isTorn: boolean }): void {
    this.waiting = [];
    if (tailMs === 0) return;
    this.undone = null;
    while ((this.journal.at(-1)?.atMs ?? -Infinity) > this.now() - tailMs)
      this.journal.pop()!.undo();
    this.cache.distrust();
    if (isTorn && this.undone) this.keepOffset(this.undone);
  }

  private keepOffset({ partition, first, count, damage }: KeptEntry): void {
    if (damage === 'foreign') return;
    this.set(this.stream(partition), 'counter', first + count - 1);
    this.torn++;
  }

  private serve(waiter: WaitingRead): boolean {
    const found = waiter.partitions.map((partition) => {
      const { entries, group, trimmedTo } = this.stream(partition);
      return entries
        .filter(({ number }) => number > group!.delivered && number > trimmedTo)
        .slice(0, waiter.count);
    });
    if (found.every(({ length }) => length === 0)) return false;
    this.drop(waiter);
    for (const [index, entries] of found.entries()) {
      const group = this.stream(waiter.partitions[index]!).group!;
      for (const { number } of entries) this.putPending(group.pending, number, waiter.consumer);
      if (entries.length > 0) this.set(group, 'delivered', entries.at(-1)!.number);
    }
    waiter.deliver(found);
    return true;
  }

  private drop(waiter: WaitingRead): void {
    this.waiting = this.waiting.filter((each) => each !== waiter);
  }

  private putPending(pending: Map<number, string>, number: number, consumer: string | null): void {
    const before = pending.get(number);
    const put = (value: string | null | undefined): void => {
      if (value === null || value === undefined) pending.delete(number);
      else pending.set(number, value);
    };
    put(consumer);
    this.note(() => put(before));
  }

  private set<Of extends object, Key extends keyof Of>(of: Of, key: Key, value: Of[Key]): void {
    const before = of[key];
    of[key] = value;
    this.note(() => (of[key] = before));
  }

  private note(undo: () => void): void {
    this.journal.push({ atMs: this.now(), undo });
  }
}

function up(one: number, other: number): number {
  return one - other;
}
