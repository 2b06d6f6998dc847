// A stream that this worker holds the lease of: its epoch, its settled offset, and the entries that
// are in memory between Redis and Postgres.
import type { Topic } from '../../schemas/events.ts';
import type { BatchItem } from '../ledger/batch.ts';
import { streamName } from './topology.ts';

/** A stream entry on its way: acknowledged when none of its events is left. */
export interface PendingEntry {
  id: string;
  first: number;
  count: number;
  items: BatchItem[];
  unsettled: number;
}

export class OwnedStream {
  readonly name: string;
  /** Entries not yet in a batch, in offset order. */
  private waiting: PendingEntry[] = [];
  /** Entries in memory, waiting or in a batch, by id. */
  private readonly entries = new Map<string, PendingEntry>();
  private readonly entryOf = new Map<BatchItem, PendingEntry>();
  /** Ids whose events are all settled, to be acknowledged. */
  private acknowledgeable: string[] = [];
  waitingEvents = 0;
  /** Entries that are not in our format, since the stream was taken over. */
  foreign = 0;
  /** `settled` as Postgres last told it: ahead of ours when the reply to a commit was lost. */
  settledSeen = 0;
  /** False until what other readers hold pending has been claimed. */
  recovered = false;
  /** No entry has an offset up to this one that is not settled: see Upkeep. 0: not known. */
  goneTo = 0;
  /** The last offset ever taken. */
  private reach: number;

  constructor(
    readonly topic: Topic,
    readonly partition: number,
    readonly epoch: string,
    public settled: number,
    /** What listeners may be told: settled, and the balances behind it in the cache. */
    public announced: number = settled,
    /** Where it will be settled to when the writes under way have committed. */
    public planned: number = settled,
  ) {
    this.name = streamName(topic, partition);
    this.reach = settled;
  }

  /** Believes Postgres. Only while no write is under way: its reply would come from before. */
  catchUp(): void {
    this.settled = Math.max(this.settled, this.settledSeen);
  }

  /** Settled to there, by what has no entry. Only while no write is under way. */
  passTo(offset: number): void {
    this.settled = this.planned = offset;
    this.reach = Math.max(this.reach, offset);
  }

  /**
   * Adds entries that are not in memory yet; gives how many were new. A hole before one of them may
   * be with another reader, so the stream waits until what is pending has been claimed.
   */
  take(entries: readonly PendingEntry[]): number {
    let taken = 0;
    for (const entry of entries) {
      if (this.entries.has(entry.id)) continue;
      this.entries.set(entry.id, entry);
      if (entry.items.length === 0) {
        this.foreign++;
        this.acknowledgeable.push(entry.id);
        continue;
      }
      if (entry.first > this.reach + 1) this.recovered = false;
      this.reach = Math.max(this.reach, entry.first + entry.count - 1);
      for (const item of entry.items) this.entryOf.set(item, entry);
      const last = this.waiting.at(-1);
      this.waiting.push(entry);
      if (last && last.first > entry.first) this.waiting.sort((a, b) => a.first - b.first);
      this.waitingEvents += entry.items.length;
      taken++;
    }
    return taken;
  }

  /** Removes the next entry's items for a batch; null when none waits. */
  next(): readonly BatchItem[] | null {
    const entry = this.waiting.shift();
    if (!entry) return null;
    this.waitingEvents -= entry.items.length;
    return entry.items;
  }

  /** Marks an item settled in Postgres; its entry may be acknowledged when it was the last. */
  itemSettled(item: BatchItem): void {
    const entry = this.entryOf.get(item);
    if (!entry) return;
    this.entryOf.delete(item);
    if (--entry.unsettled > 0) return;
    this.acknowledgeable.push(entry.id);
  }

  toAcknowledge(): readonly string[] {
    return this.acknowledgeable;
  }

  /** Forgets entries that Redis has acknowledged. */
  acknowledged(ids: readonly string[]): void {
    for (const id of ids) this.entries.delete(id);
    const done = new Set(ids);
    this.acknowledgeable = this.acknowledgeable.filter((id) => !done.has(id));
  }

  has(id: string): boolean {
    return this.entries.has(id);
  }

  get inMemory(): number {
    return this.entries.size;
  }

  /** Ids of what is in memory. */
  held(): string[] {
    return [...this.entries.keys()];
  }

  holdsAny(ids: readonly string[]): boolean {
    return ids.some((id) => this.entries.has(id));
  }
}
