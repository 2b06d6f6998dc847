// What follows a commit, in commit order: balances to the cache, the settled position announced,
// entries acknowledged. Each step is tried until it succeeds, so Redis may be away for a while; the
// entries stay pending meanwhile, and a repeat of any step does no harm.
// Invariant: a position is announced only when the balances it stands for are in the cache (or the
// cache has been expired), and an entry is acknowledged only after its commit.
import type { Redis } from 'ioredis';
import type { BalanceCache } from '../cache/balances.ts';
import type { Log } from '../io/log.ts';
import { backoffMs, sleep } from './backoff.ts';
import type { OwnedStream } from './owned-stream.ts';
import type { Settled } from './settle.ts';
import { GROUP, SETTLED_CHANNEL, settledKey, streamKey } from './topology.ts';

export interface AfterCommitOptions {
  redis: Redis;
  balances: BalanceCache;
  log: Log;
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
      this.options.log.warn({ error: String(error) }, 'balance cache not written, expiring it');
      await this.persist(() => this.options.balances.expireAll());
    }
  }

  private async announceAndAcknowledge(
    positions: readonly { stream: OwnedStream; offset: number }[],
  ): Promise<void> {
    const pipeline = this.options.redis.pipeline();
    const acknowledged: [OwnedStream, readonly string[]][] = [];
    for (const { stream, offset } of positions) {
      const { topic, partition, name } = stream;
      stream.announced = offset;
      pipeline.set(settledKey(topic, partition), offset);
      pipeline.publish(SETTLED_CHANNEL, `${name}.${offset}`);
      const ids = stream.toAcknowledge().slice(0, ACK_MAX);
      if (ids.length === 0) continue;
      pipeline.xack(streamKey(topic, partition), GROUP, ...ids);
      acknowledged.push([stream, ids]);
    }
    const replies = await pipeline.exec();
    for (const [error] of replies ?? []) if (error) throw error;
    for (const [stream, ids] of acknowledged) stream.acknowledged(ids);
  }

  private async persist(step: () => Promise<void>): Promise<void> {
    for (let attempt = 1; !this.options.isStopped(); attempt++) {
      try {
        return await step();
      } catch (error) {
        if (attempt === 1)
          this.options.log.warn({ error: String(error) }, 'Redis refused, waiting');
        await sleep(backoffMs(attempt, BACKOFF));
      }
    }
  }
}
