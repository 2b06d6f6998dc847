// Answers that wait for replicas: what a client has been told by Redis counts only when so many
// replicas have it too, so that a failover to one of them forgets nothing that was acknowledged.
// One WAIT is under way at a time, and stands for all that was answered before it was sent.
// Invariant: an answer is confirmed only by a WAIT sent after it on the same connection. Another
// connection may lead to another server, which confirms what it never had.
import type { Redis } from 'ioredis';

export interface ReplicaOptions {
  /** Replicas that must have it; 0 waits for none. */
  redisReplicasMin: number;
  redisReplicasWaitMs: number;
}

/** Redis has it, and too few replicas said so in time: the outcome is unknown. */
export class TooFewReplicas extends Error {}

const guards = new WeakMap<Redis, ReplicaGuard>();

/** From now on `replicated` waits for what is asked through this client. */
export function requireReplicas(redis: Redis, options: ReplicaOptions): void {
  if (options.redisReplicasMin > 0) guards.set(redis, new ReplicaGuard(redis, options));
}

/** What was asked through this client, once its replicas have all that the answer rests on. */
export function replicated<T>(redis: Redis, asked: Promise<T>): Promise<T> {
  const guard = guards.get(redis);
  return guard ? guard.follow(asked) : asked;
}

interface Heard {
  connection: number;
  replicas: number;
}

class ReplicaGuard {
  /** Counts the connections of the client. */
  private connection = 0;
  /** Not sent yet: whoever is answered until then may join it. */
  private next: Promise<Heard> | null = null;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly redis: Redis,
    private readonly options: ReplicaOptions,
  ) {
    redis.on('close', () => this.connection++);
  }

  /** To be called in the step that asks, since the connection of that moment is what counts. */
  async follow<T>(asked: Promise<T>): Promise<T> {
    const { connection } = this;
    const answer = await asked;
    const heard = await this.join();
    const { redisReplicasMin: min, redisReplicasWaitMs: waitMs } = this.options;
    if (heard.connection === connection && heard.replicas >= min) return answer;
    throw new TooFewReplicas(`fewer than ${min} replicas had it within ${waitMs} ms`);
  }

  private join(): Promise<Heard> {
    this.next ??= this.last.then(async () => {
      // Answers come many at a time; those of this moment share one WAIT.
      await new Promise(setImmediate);
      this.next = null;
      return await this.ask();
    });
    this.last = this.next;
    return this.next;
  }

  /** Never rejects: whatever kept the replicas from answering, they have not confirmed. */
  private async ask(): Promise<Heard> {
    const { connection } = this;
    const { redisReplicasMin: min, redisReplicasWaitMs: waitMs } = this.options;
    const replicas = await this.redis.wait(min, waitMs).catch(() => 0);
    return { connection, replicas };
  }
}
