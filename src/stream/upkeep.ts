// Upkeep of owned streams, about once a second: trim what every group has acknowledged, announce
// the settled position again (for listeners that missed it), and notice when Redis has lost its
// tail.
// Invariant: what is said of a stream here is not ahead of what its commits have said.
import type { OwnedStream } from './owned-stream.ts';
import type { StreamStore, World } from './ports.ts';

export interface StreamHealth {
  name: string;
  length: number;
  /** Age in ms of the oldest entry not acknowledged; 0 when there is none. */
  oldestPendingMs: number;
  /** Events appended and not settled. */
  backlog: number;
}

export class Upkeep {
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

  /** Rejects when Redis is away. */
  async tend(stream: OwnedStream): Promise<StreamHealth> {
    await this.raise(stream);
    if (stream.recovered) await this.streams.announce(stream, stream.announced);
    const { length, oldestMs, elsewhere } = await this.streams.trim(stream);
    // A worker that woke too late has read once more: what it took is ours to claim.
    if (elsewhere > 0) stream.recovered = false;
    const last = await this.streams.lastOffset(stream);
    return {
      name: stream.name,
      length,
      oldestPendingMs: oldestMs === 0 ? 0 : Math.max(0, this.world.time.now() - oldestMs),
      backlog: Math.max(0, last - stream.settled),
    };
  }
}
