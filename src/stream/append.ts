// Appends accepted events to their streams, in micro-batches: everything that one turn of the event
// loop brings for one stream goes out as one entry, with a dense range of offsets given by the
// same script. The promise settles only when Redis has answered, and its replicas where they count.
// Invariant: offsets of a stream have no gap and no repeat while Redis keeps its data.
import type { Redis } from 'ioredis';
import type { Topic } from '../../schemas/events.ts';
import { TooFewReplicas, replicated } from '../io/replicas.ts';
import { offsetKey, streamKey, streamNumber } from './topology.ts';

/** Takes: stream, offset counter; count, blob, an offset known to have been given out. Gives: the
 * first offset, which is beyond that one even when Redis has forgotten it: a position never stands
 * for two events, and what Redis lost leaves a hole, by which the loss is counted.
 * Safe to repeat: no, the caller must treat a lost reply as unknown and rely on event ids. */
const APPEND = `
local last = redis.call('INCRBY', KEYS[2], ARGV[1])
local first = last - tonumber(ARGV[1]) + 1
local known = tonumber(ARGV[3])
if first <= known then
  first = known + 1
  redis.call('SET', KEYS[2], string.format('%d', known + tonumber(ARGV[1])))
end
redis.call('XADD', KEYS[1], '*', 'o', first, 'n', ARGV[1], 'b', ARGV[2])
return first
`;

export type AppendRefusal =
  'redis_unavailable' | 'redis_full' | 'too_few_replicas' | 'too_many_waiting';

export class AppendRefused extends Error {
  constructor(readonly reason: AppendRefusal) {
    super(reason);
  }
}

/** Who has events in a batch; told once. */
export interface Waiter {
  /** The offset of its first event; the rest follow it without a gap. */
  appended(first: number): void;
  /** With AppendRefused; whether Redis has the events is then unknown. */
  refused(error: Error): void;
}

interface Batch {
  topic: Topic;
  partition: number;
  events: number;
  bytes: Uint8Array[];
  byteLength: number;
  /** With the place of its first event in the batch, each. */
  waiters: { waiter: Waiter; index: number }[];
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
  private readonly open = new Map<number, Batch>();
  /** The last offset that Redis has given us, by stream. */
  private readonly given = new Map<number, number>();
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
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.appendAll(topic, partition, 1, tuple, { appended: resolve, refused: reject });
    return promise;
  }

  /** Several events that stay together. Their bytes must not change afterwards. */
  appendAll(
    topic: Topic,
    partition: number,
    events: number,
    bytes: Uint8Array,
    waiter: Waiter,
  ): void {
    if (this.bytesWaiting > this.options.bytesWaitingMax)
      return waiter.refused(new AppendRefused('too_many_waiting'));
    const stream = streamNumber(topic, partition);
    let batch = this.open.get(stream);
    if (!batch) {
      batch = { topic, partition, events: 0, bytes: [], byteLength: 0, waiters: [] };
      this.open.set(stream, batch);
    }
    batch.waiters.push({ waiter, index: batch.events });
    batch.events += events;
    batch.bytes.push(bytes);
    batch.byteLength += bytes.byteLength;
    this.bytesWaiting += bytes.byteLength;
    if (batch.events >= this.options.entryEventsMax) {
      this.open.delete(stream);
      this.send([batch]);
    } else if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => this.flush());
    }
  }

  /** Resolves when nothing is waiting for Redis any more. */
  async drain(): Promise<void> {
    this.flush();
    if (this.inFlight > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  private flush(): void {
    this.scheduled = false;
    if (this.open.size === 0) return;
    const batches = [...this.open.values()];
    this.open.clear();
    this.send(batches);
  }

  /** One write to the socket, whatever the number of streams. */
  private send(batches: readonly Batch[]): void {
    const pipeline = this.redis.pipeline() as unknown as AppendPipeline;
    for (const { topic, partition, events, bytes, byteLength } of batches)
      pipeline.tallyraceAppend(
        streamKey(topic, partition),
        offsetKey(topic, partition),
        events,
        Buffer.concat(bytes, byteLength),
        this.knownOffset(topic, partition),
      );
    this.inFlight++;
    void this.settle(batches, replicated(this.redis, pipeline.exec()));
  }

  private knownOffset(topic: Topic, partition: number): number {
    const given = this.given.get(streamNumber(topic, partition)) ?? 0;
    return Math.max(given, this.options.settledOffset?.(topic, partition) ?? 0);
  }

  private async settle(batches: readonly Batch[], sent: ReturnType<AppendPipeline['exec']>) {
    let replies: Awaited<typeof sent> = null;
    let failure: unknown = null;
    try {
      replies = await sent;
    } catch (error) {
      failure = error;
    }
    batches.forEach((batch, place) => {
      this.bytesWaiting -= batch.byteLength;
      const [error, first] = replies?.[place] ?? [failure, null];
      if (first === null || error !== null) {
        const refused = refusalOf(error);
        for (const { waiter } of batch.waiters) waiter.refused(refused);
      } else this.appended(batch, Number(first));
    });
    if (--this.inFlight === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  private appended({ topic, partition, events, waiters }: Batch, first: number): void {
    const stream = streamNumber(topic, partition);
    this.given.set(stream, Math.max(this.given.get(stream) ?? 0, first + events - 1));
    for (const { waiter, index } of waiters) waiter.appended(first + index);
  }
}

interface AppendPipeline {
  tallyraceAppend(
    stream: string,
    offset: string,
    events: number,
    blob: Buffer,
    settled: number,
  ): unknown;
  exec(): Promise<[error: Error | null, first: unknown][] | null>;
}

function refusalOf(error: unknown): AppendRefused {
  if (error instanceof TooFewReplicas) return new AppendRefused('too_few_replicas');
  const text = error instanceof Error ? error.message : '';
  return new AppendRefused(text.startsWith('OOM') ? 'redis_full' : 'redis_unavailable');
}
