// The worker's engine: one loop reads ahead, one loop settles batches, so that the next batch is
// read and decoded while Postgres writes the last one.
// Invariants: XACK after commit only; what is in memory is bounded; a stop leaves nothing half
// done: what was read and not settled stays pending for whoever owns the stream next.
import { sleep } from '../io/clock.ts';
import type { BatchItem } from '../ledger/batch.ts';
import type { AfterCommit } from './after-commit.ts';
import { backoffMs } from './backoff.ts';
import { nextBatch } from './batcher.ts';
import type { LeaseKeeper } from './lease.ts';
import type { OwnedStream } from './owned-stream.ts';
import type { Pipeline } from './pipeline.ts';
import type { BalanceStore, StreamStore, World } from './ports.ts';
import { claimPending, readNew } from './reader.ts';
import { SettleStopped } from './settle.ts';

export interface RunnerParts {
  streams: StreamStore;
  leases: LeaseKeeper;
  pipeline: Pipeline;
  afterCommit: AfterCommit;
  balances: BalanceStore;
  /** Deferred events that are due. A batch with any is settled before the next is made (see
   * Pipeline), so that none is in hand twice. */
  dueRetries(): Promise<BatchItem[]>;
  world: World;
  onClaimed(entries: number, deleted: number): void;
  onBatch(events: number): void;
}

const BACKOFF = { baseMs: 50, maxMs: 1_000 };
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
    private readonly batchEventsMax: number,
  ) {}

  start(): void {
    this.loops = Promise.all([this.readLoop(), this.settleLoop()]);
  }

  /** Rejects on a broken invariant, which ends a process that does not look at it. */
  get ended(): Promise<unknown> {
    return this.loops;
  }

  /** Stops reading, settles what is being written, and resolves when both loops have ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake?.();
    await this.loops;
    await this.parts.afterCommit.drained();
  }

  private async readLoop(): Promise<void> {
    const { leases, world } = this.parts;
    for (let failures = 0; !this.stopping;) {
      try {
        await this.readOnce();
        failures = 0;
      } catch (error) {
        failures++;
        // A lost reply may have assigned entries to us that we never saw: claim before reading on.
        for (const stream of leases.owned.values()) stream.recovered = false;
        if (failures === 1 && !String(error).includes('NOGROUP'))
          world.log.warn({ error: String(error) }, 'could not read the streams, trying again');
        await sleep(backoffMs(failures, BACKOFF, world.random), world.time);
      }
    }
  }

  private async readOnce(): Promise<void> {
    const { leases } = this.parts;
    const streams = leases.readable();
    // Of those that are leaving too: what they hold must be settled before they can be released.
    const unrecovered = [...leases.owned.values()].filter((stream) => !stream.recovered);
    if (unrecovered.length > 0) await this.recover(unrecovered);
    const waiting = streams.reduce((sum, stream) => sum + stream.waitingEvents, 0);
    const room = 2 * this.batchEventsMax - waiting;
    if (streams.length === 0 || room <= 0)
      return await sleep(streams.length === 0 ? IDLE_MS : 2, this.parts.world.time);
    // Every stream may answer with as many entries, so the room is shared between them.
    const share = Math.ceil(room / streams.length / this.eventsPerEntry);
    const { entries, events } = await readNew(this.parts.streams, streams, {
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
      await this.parts.streams.ensureGroup(stream);
      const { claimed, deleted } = await claimPending(this.parts.streams, stream);
      stream.recovered = true;
      this.parts.onClaimed(claimed, deleted);
    }
    this.wake?.();
  }

  private async settleLoop(): Promise<void> {
    const { pipeline, world } = this.parts;
    try {
      while (!this.stopping) await this.settleNext();
      await pipeline.drain();
    } catch (error) {
      if (error instanceof SettleStopped) return;
      world.log.fatal({ error }, 'a broken invariant, ending the process');
      throw error;
    }
  }

  private async settleNext(): Promise<void> {
    const { leases, pipeline } = this.parts;
    await pipeline.settleGone([...leases.owned.values()]);
    const retries = await this.parts.dueRetries();
    const owned = [...leases.owned.values()];
    const batch = nextBatch(owned, retries, this.batchEventsMax);
    if (batch) {
      this.parts.onBatch(batch.items.length);
      await pipeline.submit(batch);
    } else {
      await pipeline.drain();
      // What waits on a stream that is to be claimed first is no work yet: no turn without a pause.
      const streams = [...leases.owned.values()];
      if (!streams.some((each) => each.recovered && each.waitingEvents > 0)) await this.idle();
    }
  }

  private async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      const callOff = this.parts.world.time.after(IDLE_MS, resolve);
      this.wake = () => {
        callOff();
        resolve();
      };
    });
    this.wake = null;
  }
}
