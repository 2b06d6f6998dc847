// Waits, at the ingress, until the ledger has settled a position. Workers announce settled offsets
// over pub/sub; while somebody waits, the kept values are also polled, since pub/sub may miss.
import type { Redis } from 'ioredis';
import { type Time, systemTime } from '../io/clock.ts';
import { topics } from '../../schemas/events.ts';
import {
  PARTITIONS,
  type Position,
  SETTLED_CHANNEL,
  parsePosition,
  settledKey,
  streamName,
} from './topology.ts';

interface Waiter {
  offset: number;
  resolve(settled: boolean): void;
}

const POLL_MS = 100;

export class Settlement {
  private readonly settled = new Map<string, number>();
  private readonly inLedger = new Map<string, number>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private callOff: () => void = () => {};
  private released = false;

  /** `subscriber` is used for nothing else; `redis` is any client for commands. */
  constructor(
    private readonly subscriber: Redis,
    private readonly redis: Redis,
    private readonly time: Time = systemTime,
  ) {
    subscriber.on('message', (channel: string, message: string) => {
      if (channel !== SETTLED_CHANNEL) return;
      const position = parsePosition(message, topics);
      if (position) this.advance(position);
    });
    subscriber.subscribe(SETTLED_CHANNEL).catch(() => {});
    this.pollLater();
  }

  /** The last settled offset that this process knows of. */
  settledOffset(topic: Position['topic'], partition: number): number {
    const name = streamName(topic, partition);
    return Math.max(this.settled.get(name) ?? 0, this.inLedger.get(name) ?? 0);
  }

  /** What the ledger itself says. Nobody who waits is told: a position is announced when the
   * balances it stands for are in the cache, which is later. */
  learn(positions: readonly Position[]): void {
    for (const { topic, partition, offset } of positions)
      this.inLedger.set(streamName(topic, partition), offset);
  }

  /** True when the position is settled, false after `timeoutMs`. */
  waitSettled(position: Position, timeoutMs: number): Promise<boolean> {
    const name = streamName(position.topic, position.partition);
    if ((this.settled.get(name) ?? 0) >= position.offset) return Promise.resolve(true);
    if (this.released) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        offset: position.offset,
        resolve: (settled) => {
          callOff();
          resolve(settled);
        },
      };
      const callOff = this.time.after(timeoutMs, () => {
        this.forget(name, waiter);
        resolve(false);
      });
      const waiting = this.waiters.get(name) ?? new Set();
      waiting.add(waiter);
      this.waiters.set(name, waiting);
    });
  }

  /** Reads all kept values now: at start, for the backlog, and while somebody waits. */
  async poll(): Promise<void> {
    const streams = topics.flatMap((topic) =>
      Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition })),
    );
    const pipeline = this.redis.pipeline();
    for (const { topic, partition } of streams) pipeline.get(settledKey(topic, partition));
    const replies = (await pipeline.exec()) ?? [];
    streams.forEach((stream, index) => {
      const value = replies[index]?.[1];
      if (typeof value === 'string') this.advance({ ...stream, offset: Number(value) });
    });
  }

  /** Whoever waits, or would wait from now on, hears at once that the time is up. */
  release(): void {
    this.released = true;
    for (const waiting of this.waiters.values())
      for (const waiter of waiting) waiter.resolve(false);
    this.waiters.clear();
  }

  stop(): void {
    this.callOff();
    this.release();
    this.subscriber.disconnect();
  }

  private pollLater(): void {
    this.callOff = this.time.after(POLL_MS, () => {
      this.pollLater();
      if (this.waiters.size > 0) this.poll().catch(() => {});
    });
  }

  private advance({ topic, partition, offset }: Position): void {
    const name = streamName(topic, partition);
    if (offset <= (this.settled.get(name) ?? 0)) return;
    this.settled.set(name, offset);
    for (const waiter of this.waiters.get(name) ?? []) {
      if (waiter.offset > offset) continue;
      this.forget(name, waiter);
      waiter.resolve(true);
    }
  }

  private forget(name: string, waiter: Waiter): void {
    const waiting = this.waiters.get(name);
    waiting?.delete(waiter);
    if (waiting?.size === 0) this.waiters.delete(name);
  }
}
