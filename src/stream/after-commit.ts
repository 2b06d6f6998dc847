// What follows a commit, in commit order: balances to the cache, the settled position announced,
// entries acknowledged. Each step is tried until it succeeds, so Redis may be away for a while; the
// entries stay pending meanwhile, and a repeat of any step does no harm.
// Invariant: a position is announced only when the balances it stands for are in the cache (or the
// cache has been expired), and an entry is acknowledged only after its commit.
import { sleep } from '../io/clock.ts';
import { backoffMs } from './backoff.ts';
import type { OwnedStream } from './owned-stream.ts';
import type { BalanceStore, RecordWatcher, StreamStore, World } from './ports.ts';
import type { Settled } from './settle.ts';

export interface AfterCommitOptions {
  streams: StreamStore;
  balances: BalanceStore;
  records: RecordWatcher;
  world: World;
  isStopped(): boolean;
}

const BACKOFF = { baseMs: 50, maxMs: 2_000 };
const ACK_MAX = 1_000;

export class AfterCommit {
  private tail: Promise<void> = Promise.resolve();

  constructor(private readonly options: AfterCommitOptions) {}

  /** Queues the steps of one commit; resolves when those of the commit before it are done. */
  async follow(settled: Settled): Promise<void> {
    const before = this.tail;
    // Positions as of this commit: the stream moves on while we wait for Redis.
    const positions = settled.streams.map((stream) => ({ stream, offset: stream.settled }));
    this.tail = before.then(async () => {
      await this.putBalances(settled);
      const saved = [...settled.plan.state.recordSlots().values()].filter(({ changed }) => changed);
      if (saved.length > 0) await this.persist(() => this.options.records.changed(saved));
      await this.persist(() => this.announceAndAcknowledge(positions));
    });
    await before;
  }

  async drained(): Promise<void> {
    await this.tail;
  }

  private async putBalances({ written, unseen }: Settled): Promise<void> {
    if (unseen) await this.persist(() => this.options.balances.expireAll());
    if (written.length === 0) return;
    const changes = written.map(({ slot, balance, sequence }) => {
      const { tenant, account, unit } = slot;
      return { tenant, account, unit, balance, sequence };
    });
    try {
      await this.options.balances.put(changes);
    } catch (error) {
      const said = { error: String(error) };
      this.options.world.log.warn(said, 'balance cache not written, expiring it');
      await this.persist(() => this.options.balances.expireAll());
    }
  }

  private async announceAndAcknowledge(
    positions: readonly { stream: OwnedStream; offset: number }[],
  ): Promise<void> {
    const conclusions = positions.map(({ stream, offset }) => {
      stream.announced = offset;
      const acknowledge = stream.toAcknowledge().slice(0, ACK_MAX);
      return { stream, announced: offset, acknowledge };
    });
    await this.options.streams.conclude(conclusions);
    for (const { stream, acknowledge } of conclusions) stream.acknowledged(acknowledge);
  }

  private async persist(step: () => Promise<void>): Promise<void> {
    const { time, random, log } = this.options.world;
    for (let attempt = 1; !this.options.isStopped(); attempt++) {
      try {
        return await step();
      } catch (error) {
        if (attempt === 1) log.warn({ error: String(error) }, 'Redis refused, waiting');
        await sleep(backoffMs(attempt, BACKOFF, random), time);
      }
    }
  }
}
