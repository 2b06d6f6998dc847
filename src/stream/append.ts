// Appends accepted events to their streams, in micro-batches: everything that one turn of the event
// loop brings for one stream goes out as one entry, with a dense range of offsets given by the
// same script. The promise settles only when Redis has answered.
// Invariant: offsets of a stream have no gap and no repeat while Redis keeps its data.
import type { Redis } from 'ioredis';
import type { Topic } from '../../schemas/events.ts';
import { offsetKey, streamKey, streamName } from './topology.ts';

/** Takes: stream, offset counter; count, blob, an offset known to be settled. Gives: the first
 * offset, which is beyond the settled one even when Redis has forgotten that it gave that out.
 * Safe to repeat: no, the caller must treat a lost reply as unknown and rely on event ids. */
const APPEND = `
local last = redis.call('INCRBY', KEYS[2], ARGV[1])
local first = last - tonumber(ARGV[1]) + 1
local settled = tonumber(ARGV[3])
if first <= settled then
  first = settled + 1
  redis.call('SET', KEYS[2], string.format('%d', settled + tonumber(ARGV[1])))
end
redis.call('XADD', KEYS[1], '*', 'o', first, 'n', ARGV[1], 'b', ARGV[2])
return first
`;

export class AppendRefused extends Error {
  constructor(readonly reason: 'redis_unavailable' | 'redis_full' | 'too_many_waiting') {
    super(reason);
  }
}

interface Waiter {
  /** Place of its first event in the batch. */
  index: number;
  resolve(offset: number): void;
  reject(error: Error): void;
}

interface Batch {
  topic: Topic;
  partition: number;
  tuples: Uint8Array[];
  waiters: Waiter[];
}

export interface AppenderOptions {
  /** Bytes accepted but not yet answered by Redis; beyond it callers are refused. */
  bytesWaitingMax: number;
  /** Events after which a stream entry is sent: bounds, give or take the last request's, what a
   * reader must take at once. */
  entryEventsMax: number;
  /** The last settled offset of a stream, as far as this process has heard; 0 for not at all. */
  settledOffset?(topic: Topic, partition: number): number;
}

export class Appender {
  private readonly open = new Map<string, Batch>();
  private scheduled = false;
  private inFlight = 0;
  private idle: (() => void)[] = [];
  bytesWaiting = 0;

  constructor(
    private readonly redis: Redis,
    private readonly options: AppenderOptions,
  ) {
    redis.defineCommand('tallyraceAppend', { numberOfKeys: 2, lua: APPEND });
  }

  /** Resolves to the event's offset. Rejects with AppendRefused; the outcome is then unknown. */
  append(topic: Topic, partition: number, tuple: Uint8Array): Promise<number> {
    return this.appendAll(topic, partition, [tuple]);
  }

  /** Several events that stay together, at one promise; resolves to the offset of the first. */
  appendAll(topic: Topic, partition: number, tuples: readonly Uint8Array[]): Promise<number> {
    if (this.bytesWaiting > this.options.bytesWaitingMax)
      return Promise.reject(new AppendRefused('too_many_waiting'));
    const name = streamName(topic, partition);
    let batch = this.open.get(name);
    if (!batch) {
      batch = { topic, partition, tuples: [], waiters: [] };
      this.open.set(name, batch);
    }
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    batch.waiters.push({ index: batch.tuples.length, resolve, reject });
    for (const tuple of tuples) {
      this.bytesWaiting += tuple.byteLength;
      batch.tuples.push(tuple);
    }
    if (batch.tuples.length >= this.options.entryEventsMax) {
      this.open.delete(name);
      void this.send(batch);
    } else if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => this.flush());
    }
    return promise;
  }

  /** Resolves when nothing is waiting for Redis any more. */
  async drain(): Promise<void> {
    this.flush();
    if (this.inFlight > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  private flush(): void {
    this.scheduled = false;
    for (const batch of this.open.values()) void this.send(batch);
    this.open.clear();
  }

  private async send(batch: Batch): Promise<void> {
    const blob = Buffer.concat(batch.tuples);
    this.inFlight++;
    try {
      const first = await this.run(batch, blob);
      for (const waiter of batch.waiters) waiter.resolve(first + waiter.index);
    } catch (error) {
      const refused = refusalOf(error);
      for (const waiter of batch.waiters) waiter.reject(refused);
    } finally {
      this.bytesWaiting -= blob.byteLength;
      if (--this.inFlight === 0) for (const resolve of this.idle.splice(0)) resolve();
    }
  }

  private async run(batch: Batch, blob: Buffer): Promise<number> {
    const { topic, partition, tuples } = batch;
    const redis = this.redis as Redis & {
      tallyraceAppend(
        stream: string,
        offset: string,
        count: number,
        blob: Buffer,
        settled: number,
      ): Promise<number>;
    };
    return Number(
      await redis.tallyraceAppend(
        streamKey(topic, partition),
        offsetKey(topic, partition),
        tuples.length,
        blob,
        this.options.settledOffset?.(topic, partition) ?? 0,
      ),
    );
  }
}

function refusalOf(error: unknown): AppendRefused {
  const text = error instanceof Error ? error.message : '';
  return new AppendRefused(text.startsWith('OOM') ? 'redis_full' : 'redis_unavailable');
}
