// A worker inside the test process, so that tests can give it other rules and look at its parts.
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { rules as allRules } from '../consumers/index.ts';
import { type Topic, topics } from '../schemas/events.ts';
import { eventDefinition } from '../schemas/index.ts';
import { createLog } from '../src/io/log.ts';
import { Metrics } from '../src/io/metrics.ts';
import { connectPostgres } from '../src/io/postgres.ts';
import { blockingClient, producerClient, redisReady } from '../src/io/redis.ts';
import type { Rule } from '../src/ledger/decision.ts';
import { Appender } from '../src/stream/append.ts';
import { encodeEvent } from '../src/stream/codec.ts';
import { PARTITIONS, offsetKey, partitionOf } from '../src/stream/topology.ts';
import { startWorker } from '../src/worker.ts';
import type { Stack } from './services.ts';

export interface TestEvent {
  id: string;
  type: string;
  data: object;
}

export interface Counters {
  posted: number;
  refused: number;
  dead: number;
  duplicate: number;
  deferred: number;
  renumbered: number;
  lost: number;
  settled: number;
}

export class Engine {
  private stopWorker: (() => Promise<void>) | null = null;

  private constructor(
    private readonly stack: Stack,
    readonly redis: Redis,
    private readonly appender: Appender,
    readonly tenant: number,
    /** Whose streams are counted and waited for. */
    private readonly topic: Topic,
  ) {}

  static async open(stack: Stack, tenant: number, topic: Topic = 'events'): Promise<Engine> {
    const redis = producerClient(stack.redisUrl, 'test-engine');
    await redisReady(redis);
    const appender = new Appender(redis, { bytesWaitingMax: 2 ** 24, entryEventsMax: 100 });
    return new Engine(stack, redis, appender, tenant, topic);
  }

  /** Appends as the ingress would; gives the offsets. */
  async append(events: readonly TestEvent[]): Promise<number[]> {
    return await Promise.all(
      events.map(({ id, type, data }) => {
        const definition = eventDefinition.get(type)!;
        const { tenant } = this;
        const bytes = encodeEvent(definition, { tenant, id, acceptedAt: Date.now(), data });
        const partition = partitionOf(tenant, definition.orderKey(data as Record<string, unknown>));
        return this.appender.append(definition.topic, partition, bytes);
      }),
    );
  }

  async start(
    options: { name?: string; rules?: readonly Rule[]; statementTimeoutMs?: number } = {},
  ): Promise<void> {
    const { databaseUrl, redisUrl } = this.stack;
    const name = options.name ?? 'engine';
    const redis = producerClient(redisUrl, name);
    const blocking = blockingClient(redisUrl, `${name}-reader`);
    await Promise.all([redisReady(redis), redisReady(blocking)]);
    const { statementTimeoutMs = 30_000 } = options;
    const sql = connectPostgres(databaseUrl, { max: 4, name, statementTimeoutMs });
    const replaced = new Map((options.rules ?? []).map((rule) => [rule.type, rule]));
    const worker = await startWorker(
      {
        redis,
        blocking,
        sql,
        appender: new Appender(redis, { bytesWaitingMax: 2 ** 24, entryEventsMax: 100 }),
        metrics: new Metrics(),
        log: createLog(name, 'fatal'),
        rules: new Map([...allRules, ...replaced]),
        onSuperseded() {},
      },
      {
        name,
        instance: randomUUID(),
        batchEventsMax: 500,
        leaseMs: 1_000,
        leaseRenewMs: 200,
        balanceCacheTtlS: 60,
        topics,
        deferralsMax: 3,
        drainMs: 5_000,
      },
    );
    this.stopWorker = async () => {
      await worker.stop();
      redis.disconnect();
      blocking.disconnect();
      await sql.end({ timeout: 2 });
    };
  }

  async stop(): Promise<void> {
    await this.stopWorker?.();
    this.stopWorker = null;
  }

  async close(): Promise<void> {
    await this.stop();
    this.redis.disconnect();
  }

  /** Waits until everything appended is settled and nothing is deferred. */
  async settled(timeoutMs = 15_000): Promise<Counters> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const counters = await this.counters();
      const appended = await this.appended();
      if (counters.settled >= appended && counters.deferred === 0) return counters;
      if (Date.now() > deadline)
        throw new Error(`not settled: ${JSON.stringify({ ...counters, appended })}`);
      await Bun.sleep(20);
    }
  }

  async counters(): Promise<Counters> {
    const [row] = await this.stack.owner`
      select sum(posted)::int as posted, sum(refused)::int as refused, sum(dead)::int as dead,
        sum(duplicate)::int as duplicate, sum(deferred)::int as deferred,
        sum(renumbered)::int as renumbered, sum(lost)::int as lost, sum(settled)::int as settled
      from streams where stream like ${`${this.topic}.%`}`;
    return row as unknown as Counters;
  }

  private async appended(): Promise<number> {
    const keys = Array.from({ length: PARTITIONS }, (_, p) => offsetKey(this.topic, p));
    const values = await this.redis.mget(...keys);
    return values.reduce((sum, value) => sum + Number(value ?? 0), 0);
  }
}

export function earning(id: string, user: string, amount: number, kind = 'test'): TestEvent {
  const data = {
    user_id: user,
    kind,
    amount: { amount, currency: 'USD' },
    reference: id,
  };
  return { id, type: 'earning.credited', data };
}
