// What the engine needs of the world: a stream store, a balance cache, time and chance. The ledger
// and the leases have theirs in settle.ts and src/store/leases.ts. A worker gives the real ones,
// the simulator its own.
// Invariant: nothing else in the engine reaches outside; any call may fail before or after it took
// effect, and any may be repeated.
import type { Time } from '../io/clock.ts';
import type { Log } from '../io/log.ts';
import type { Topic } from '../../schemas/events.ts';
import type { BalanceChange } from '../cache/balances.ts';
import type { RecordSlot } from '../ledger/state.ts';
import type { StreamId } from './topology.ts';

export interface World {
  time: Time;
  /** Uniform in [0, 1). */
  random: () => number;
  log: Log;
}

/** As it lies in the stream. What is not in our format has no number for `first` or `count`. */
export interface StreamEntry {
  id: string;
  first: number;
  count: number;
  blob: Buffer;
}

export interface ClaimedPage {
  entries: readonly StreamEntry[];
  /** Pending entries that are gone from the stream. */
  deleted: number;
  /** Where the next page begins; null after the last. */
  cursor: string | null;
}

/** What follows a commit on one stream. */
export interface Conclusion {
  stream: StreamId;
  announced: number;
  acknowledge: readonly string[];
}

export interface StreamFill {
  length: number;
  /** When the oldest entry not yet acknowledged came, in ms; 0 for none. */
  oldestMs: number;
  /** The oldest entry that some reader of our group has and has not acknowledged; '' for none. */
  oldestPending: string;
  /** The last that was given out. */
  lastOffset: number;
  /** At the moment of `lastOffset`, our group had acknowledged every entry there was. */
  isThrough: boolean;
}

export interface StreamStore {
  /** Makes the consumer group, from the beginning of the stream, where there is none. */
  ensureGroup(stream: StreamId): Promise<void>;
  /** Hands entries that nobody has read to us, in the order of `streams`; waits for some at most
   * `blockMs`. */
  readNew(
    streams: readonly StreamId[],
    options: { count: number; blockMs: number },
  ): Promise<readonly (readonly StreamEntry[])[]>;
  /** Hands entries that others have read and not acknowledged to us. */
  claim(stream: StreamId, cursor: string | null): Promise<ClaimedPage>;
  /** In order, but not as a whole: some may have happened when it rejects. */
  conclude(conclusions: readonly Conclusion[]): Promise<void>;
  /** Trims below the oldest entry that some group has not acknowledged. */
  trim(stream: StreamId): Promise<StreamFill>;
  /** No offset up to this one will be given out again; gives how many would have been. */
  raiseOffset(stream: StreamId, settled: number): Promise<number>;
}

export interface BalanceStore {
  /** Rejects when any may not have arrived. */
  put(changes: readonly BalanceChange[]): Promise<void>;
  expireAll(): Promise<void>;
}

/** Told of entities that a commit has changed, before its position is announced. */
export interface RecordWatcher {
  /** Rejects when it could not be told; it is then told again. */
  changed(records: readonly RecordSlot[]): Promise<void>;
}

export interface EventAppender {
  append(topic: Topic, partition: number, tuple: Uint8Array): Promise<number>;
  drain(): Promise<void>;
}
