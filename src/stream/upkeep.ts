// Upkeep of owned streams, about once a second: announce the settled position again (for listeners
// that missed it), acknowledge what is left, trim what every group has acknowledged, and notice
// when Redis has lost its tail, or entries whose offsets it still knows.
// Invariant: what is said of a stream here is not ahead of what its commits have said.
import type { OwnedStream } from './owned-stream.ts';
import type { StreamFill, StreamStore, World } from './ports.ts';

export interface StreamHealth {
  name: string;
  length: number;
  /** Age in ms of the oldest entry not acknowledged; 0 when there is none. */
  oldestPendingMs: number;
  /** Events appended and not settled. */
  backlog: number;
}

const ACK_MAX = 1_000;

export class Upkeep {
  /** The oldest pending entry of a stream, where it was not in memory the last time. */
  private readonly missing = new WeakMap<OwnedStream, string>();

  constructor(
    private readonly streams: StreamStore,
    private readonly world: World,
  ) {}

  /** Redis may have forgotten offsets that the ledger has settled: it must not give them again. */
  async raise(stream: OwnedStream): Promise<void> {
    const forgotten = await this.streams.raiseOffset(stream, stream.settled);
    if (forgotten === 0) return;
    const said = { stream: stream.name, forgotten };
    this.world.log.error(said, 'Redis lost its tail: it forgot settled offsets');
  }

  /**
   * Whether somebody has read an entry and we do not have it, as when a worker that woke too late,
   * or one of our own name before us, has read once more: it is ours to claim. The reply to a read
   * of ours may be on its way, so it must be so twice.
   */
  private isAstray(stream: OwnedStream, oldestPending: string): boolean {
    if (oldestPending === '' || stream.has(oldestPending)) {
      this.missing.delete(stream);
      return false;
    }
    const isAstray = this.missing.get(stream) === oldestPending;
    this.missing.set(stream, oldestPending);
    return isAstray;
  }

  /** What no commit will acknowledge: entries that are not ours, at the end of a quiet stream. */
  private async conclude(stream: OwnedStream): Promise<void> {
    const acknowledge = stream.toAcknowledge().slice(0, ACK_MAX);
    await this.streams.conclude([{ stream, announced: stream.announced, acknowledge }]);
    stream.acknowledged(acknowledge);
  }

  /**
   * Offsets at the end of a stream that no entry has. A later event shows them as a hole; where
   * none comes they would be pending for ever. It is seen in one step of Redis: an offset is given
   * out in the very step that appends its entry, so a slow appender has none without the other;
   * and what is acknowledged is in the ledger. So where no entry is left to be acknowledged,
   * each offset that was given out is settled or gone, and stays so, whoever owns the stream by the
   * time it is written down: the epoch and the position of the write say whether we still do, and
   * where it begins. An entry that comes up after all (of a stream deleted by hand while the
   * reply to a read was on its way) is posted as renumbered.
   */
  private noticeGone(stream: OwnedStream, { lastOffset, isThrough }: StreamFill): void {
    if (isThrough && stream.inMemory === 0) stream.goneTo = lastOffset;
  }

  /** Rejects when Redis is away. */
  async tend(stream: OwnedStream): Promise<StreamHealth> {
    await this.raise(stream);
    if (stream.recovered) await this.conclude(stream);
    const fill = await this.streams.trim(stream);
    const { length, oldestMs, oldestPending, lastOffset } = fill;
    if (this.isAstray(stream, oldestPending)) stream.recovered = false;
    this.noticeGone(stream, fill);
    return {
      name: stream.name,
      length,
      oldestPendingMs: oldestMs === 0 ? 0 : Math.max(0, this.world.time.now() - oldestMs),
      backlog: Math.max(0, lastOffset - stream.settled),
    };
  }
}
