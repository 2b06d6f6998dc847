// The worker's engine: one loop reads ahead, one loop settles batches, so that the next batch is
// read and decoded while Postgres writes the last one.
// Invariants: XACK after commit only; what is in memory is bounded; a stop leaves nothing half
// done: what was read and not settled stays pending for whoever owns the stream next.
import type { Redis } from 'ioredis';
import type { BalanceCache } from '../cache/balances.ts';
import type { Log } from '../io/log.ts';
import type { BatchItem } from '../ledger/batch.ts';
import type { AfterCommit } from './after-commit.ts';
import { backoffMs, sleep } from './backoff.ts';
import { nextBatch } from './batcher.ts';
import type { LeaseKeeper } from './lease.ts';
import type { OwnedStream } from './owned-stream.ts';
import { claimPending, ensureGroup, readNew } from './reader.ts';
import type { Pipeline } from './pipeline.ts';
import { SettleStopped } from './settle.ts';

export interface RunnerParts {
  /** For XREADGROUP BLOCK only. */
  blocking: Redis;
  redis: Redis;
  leases: LeaseKeeper;
  pipeline: Pipeline;
  afterCommit: AfterCommit;
  balances: BalanceCache;
  /** Deferred events that are due. A batch with any is settled before the next is made (see
   * Pipeline), so that none is in hand twice. */
  dueRetries(): Promise<BatchItem[]>;
  log: Log;
  onClaimed(entries: number, deleted: number): void;
  onBatch(events: number): void;
}

export interface RunnerOptions {
  consumer: string;
  batchEventsMax: number;
}

const BLOCK_MS = 250;
const IDLE_MS = 20;
/** Entries of one stream to ask for at most. */
const READ_COUNT_MAX = 500;

export class Runner {
  private stopping = false;
  /** Events an entry carries, lately: entries are counted when read, but events are what costs. */
  private eventsPerEntry = 50;
  private wake: (() => void) | null = null;
  private loops: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly parts: RunnerParts,
    private readonly options: RunnerOptions,
  ) {}

  start(): void {
    this.loops = Promise.all([this.readLoop(), this.settleLoop()]);
  }

  /** Stops reading, settles what is being written, and resolves when both loops have ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake?.();
    await this.loops;
    await this.parts.afterCommit.drained();
  }

  private async readLoop(): Promise<void> {
    for (let failures = 0; !this.stopping;) {
      try {
        await this.readOnce();
        failures = 0;
      } catch (error) {
        failures++;
        // A lost reply may have assigned entries to us that we never saw: claim before reading on.
        for (const stream of this.parts.leases.owned.values()) stream.recovered = false;
        if (failures === 1 && !String(error).includes('NOGROUP'))
          this.parts.log.warn({ error: String(error) }, 'could not read the streams, trying again');
        await sleep(backoffMs(failures, { baseMs: 50, maxMs: 1_000 }));
      }
    }
  }

  private async readOnce(): Promise<void> {
    const streams = this.parts.leases.readable();
    const unrecovered = streams.filter((stream) => !stream.recovered);
    if (unrecovered.length > 0) await this.recover(unrecovered);
    const waiting = streams.reduce((sum, stream) => sum + stream.waitingEvents, 0);
    const room = 2 * this.options.batchEventsMax - waiting;
    if (streams.length === 0 || room <= 0)
      return void (await sleep(streams.length === 0 ? IDLE_MS : 2));
    const { consumer } = this.options;
    // Every stream may answer with as many entries, so the room is shared between them.
    const share = Math.ceil(room / streams.length / this.eventsPerEntry);
    const { entries, events } = await readNew(this.parts.blocking, streams, consumer, {
      count: Math.min(share, READ_COUNT_MAX),
      blockMs: waiting > 0 ? 1 : BLOCK_MS,
    });
    if (entries === 0) return;
    this.eventsPerEntry = 0.7 * this.eventsPerEntry + 0.3 * (events / entries);
    this.wake?.();
  }

  /** Before the first read of a stream, and after a lost reply. */
  private async recover(streams: readonly OwnedStream[]): Promise<void> {
    // The owner before us may have died between its commit and its write to the cache.
    await this.parts.balances.expireAll();
    for (const stream of streams) {
      await ensureGroup(this.parts.redis, stream);
      const { claimed, deleted } = await claimPending(
        this.parts.redis,
        stream,
        this.options.consumer,
      );
      stream.recovered = true;
      this.parts.onClaimed(claimed, deleted);
    }
    this.wake?.();
  }

  private async settleLoop(): Promise<void> {
    const { pipeline, log } = this.parts;
    try {
      while (!this.stopping) await this.settleNext();
      await pipeline.drain();
    } catch (error) {
      if (error instanceof SettleStopped) return;
      log.fatal({ error }, 'a broken invariant, ending the process');
      throw error;
    }
  }

  private async settleNext(): Promise<void> {
    const { leases, pipeline } = this.parts;
    const retries = await this.parts.dueRetries();
    const owned = [...leases.owned.values()];
    const batch = nextBatch(owned, retries, this.options.batchEventsMax);
    if (batch) {
      this.parts.onBatch(batch.items.length);
      await pipeline.submit(batch);
    } else {
      await pipeline.drain();
      if (!leases.readable().some((stream) => stream.waitingEvents > 0)) await this.idle();
    }
  }

  private async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, IDLE_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = null;
  }
}
