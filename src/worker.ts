// A worker from given parts: leases, the runner, and what must be done now and then beside it.
import type { Redis } from 'ioredis';
import { BalanceCache } from './cache/balances.ts';
import { expireReservations } from './cache/redemption-expiry.ts';
import { within } from './io/deadline.ts';
import type { Log } from './io/log.ts';
import type { Metrics } from './io/metrics.ts';
import { type Periodic, periodic } from './io/periodic.ts';
import type { Sql } from './io/postgres.ts';
import type { BatchItem } from './ledger/batch.ts';
import type { Rule } from './ledger/decision.ts';
import { leaseStore } from './store/leases.ts';
import { BatchLoader } from './store/load.ts';
import { dueDeferred, outboxStore } from './store/queues.ts';
import { faultOf, writeBatch } from './store/writer.ts';
import { AfterCommit } from './stream/after-commit.ts';
import type { Appender } from './stream/append.ts';
import { LeaseKeeper, allStreams } from './stream/lease.ts';
import { relayOnce } from './stream/relay.ts';
import { Runner } from './stream/runner.ts';
import { Pipeline } from './stream/pipeline.ts';
import { Settler, type SettlerOptions } from './stream/settle.ts';
import { Upkeep } from './stream/upkeep.ts';
import { WorkerMetrics } from './stream/worker-metrics.ts';

export interface WorkerParts {
  redis: Redis;
  blocking: Redis;
  sql: Sql;
  appender: Appender;
  metrics: Metrics;
  log: Log;
  rules: ReadonlyMap<string, Rule>;
  onSuperseded(): void;
}

export interface WorkerOptions {
  /** Stable across restarts: a new process of the same name replaces the old one at once. */
  name: string;
  instance: string;
  batchEventsMax: number;
  leaseMs: number;
  leaseRenewMs: number;
  balanceCacheTtlS: number;
  /** Deferrals of one event before it goes to the dead letters. */
  deferralsMax: number;
  /** How long a stop may take to settle what is in hand; the rest stays pending in Redis. */
  drainMs: number;
}

const UPKEEP_MS = 1_000;
/** Above Postgres' own statement timeout, which answers unless the connection is dead. */
const STORE_DEADLINE_MS = 35_000;
const QUEUES_MS = 250;
const EXPIRY_MS = 500;
const EXPIRY_MAX = 500;
const MAINTENANCE_MS = 3_600_000;
const COUNT_MS = 30_000;
const MONTHS_AHEAD = 3;
const RETRIES_MAX = 500;
/** The worker that holds this stream also does what only one worker should do. */
const LEADER_STREAM = 'events.0';

/** Starts; resolves when leases are kept and the streams are being read. */
export async function startWorker(parts: WorkerParts, options: WorkerOptions): Promise<Worker> {
  const worker = new Worker(parts, options);
  await worker.start();
  return worker;
}

export class Worker {
  private readonly measured: WorkerMetrics;
  private readonly balances: BalanceCache;
  private readonly leases: LeaseKeeper;
  private readonly afterCommit: AfterCommit;
  private readonly runner: Runner;
  private readonly upkeep: Upkeep;
  private relay: Periodic | undefined;
  private tasks: Periodic[] = [];
  private stopped = false;

  constructor(
    private readonly parts: WorkerParts,
    private readonly options: WorkerOptions,
  ) {
    const { redis, log, sql } = parts;
    const isStopped = (): boolean => this.stopped;
    this.measured = new WorkerMetrics(parts.metrics);
    this.balances = new BalanceCache(redis, options.balanceCacheTtlS);
    this.upkeep = new Upkeep(redis, log, Date.now, options.name);
    this.leases = new LeaseKeeper({
      worker: options.name,
      store: leaseStore(sql, { ...options, worker: options.name, streams: allStreams }),
      renewMs: options.leaseRenewMs,
      log,
      onSuperseded: parts.onSuperseded,
    });
    this.afterCommit = new AfterCommit({ redis, balances: this.balances, log, isStopped });
    this.runner = this.makeRunner(this.makePipeline(isStopped));
  }

  async start(): Promise<void> {
    const { log } = this.parts;
    await this.ensurePartitions();
    await this.leases.start();
    this.runner.start();
    this.relay = periodic('relay', QUEUES_MS, () => this.relayAll(), log);
    this.tasks = [
      this.relay,
      periodic('upkeep', UPKEEP_MS, () => this.tendAll(), log),
      periodic('expiry', EXPIRY_MS, () => this.expireAll(), log),
      periodic('partitions', MAINTENANCE_MS, () => this.ensurePartitions(), log),
      periodic('counts', COUNT_MS, () => this.count(), log),
    ];
  }

  /** Settles what is in hand, gives the leases back, and resolves when nothing is left running. */
  async stop(): Promise<void> {
    const { appender, log } = this.parts;
    const deadline = setTimeout(() => (this.stopped = true), this.options.drainMs);
    await Promise.all(this.tasks.map((task) => task.stop()));
    await this.runner.stop();
    clearTimeout(deadline);
    this.stopped = true;
    await appender.drain();
    await this.leases.stop().catch((error: unknown) => {
      log.warn({ error: String(error) }, 'leases not given back; they run out by themselves');
    });
  }

  private makePipeline(isStopped: () => boolean): Pipeline {
    const { sql, rules, log } = this.parts;
    const loader = new BatchLoader(sql, rules);
    const options: SettlerOptions = {
      store: {
        load: (request) => within(loader.load(request), STORE_DEADLINE_MS),
        write: (plan, steps) => this.timed(() => writeBatch(sql, plan, steps)),
        faultOf,
      },
      rules,
      log,
      deferralsMax: this.options.deferralsMax,
      holds: (stream) => this.leases.holds(stream),
      refreshLeases: () => this.leases.refresh(),
      onSettled: async (settled) => {
        this.measured.settled(settled.plan, Date.now());
        if (settled.plan.followUps.length > 0) this.relay?.nudge();
        await this.afterCommit.follow(settled);
      },
      onRetry: (reason) => this.measured.retried(reason),
      isStopped,
    };
    return new Pipeline(new Settler(options), options);
  }

  private async timed<T>(write: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    const written = await within(write(), STORE_DEADLINE_MS);
    this.measured.flushSeconds.observe((performance.now() - startMs) / 1_000);
    return written;
  }

  private makeRunner(pipeline: Pipeline): Runner {
    const { redis, blocking, sql, log } = this.parts;
    const { leases, afterCommit, balances, measured } = this;
    const retries = new RetryQueue(sql, leases, log);
    return new Runner(
      {
        blocking,
        redis,
        leases,
        pipeline,
        afterCommit,
        balances,
        dueRetries: () => retries.due(),
        log,
        onClaimed: (entries, deleted) => {
          measured.claimed.inc(entries);
          measured.deleted.inc(deleted);
          if (deleted > 0)
            log.error({ deleted }, 'pending entries were trimmed before their commit');
        },
        onBatch: (events) => measured.batchEvents.observe(events),
      },
      { consumer: this.options.name, batchEventsMax: this.options.batchEventsMax },
    );
  }

  private async relayAll(): Promise<void> {
    if (!this.leads()) return;
    const { sql, appender, log } = this.parts;
    const outbox = outboxStore(sql);
    while (!this.stopped && (await relayOnce(outbox, appender, log)) > 0);
  }

  private async tendAll(): Promise<void> {
    for (const stream of this.leases.readable())
      this.measured.streamHealth(await this.upkeep.tend(stream));
  }

  private async expireAll(): Promise<void> {
    const { redis, sql } = this.parts;
    const streams = this.leases.readable().filter(({ topic }) => topic === 'coupons');
    const isSettling = (): boolean => streams.some(({ inMemory }) => inMemory > 0);
    for (const stream of streams) {
      // Before an emptied partition is opened again: its positions must go on, not begin anew.
      await this.upkeep.raise(stream);
      await expireReservations({ redis, sql, isSettling }, stream.partition, EXPIRY_MAX);
    }
  }

  /** One worker says it, so that a sum over processes is right. */
  private async count(): Promise<void> {
    const [row] = await this.parts.sql`
      select system_active_partners() as partners, system_dead_letter_count() as dead`;
    const leads = this.leads();
    this.measured.activePartners.set(leads ? Number(row!['partners']) : 0);
    this.measured.deadLetters.set(leads ? Number(row!['dead']) : 0);
  }

  private async ensurePartitions(): Promise<void> {
    await this.parts.sql`select ensure_entry_partitions(${MONTHS_AHEAD})`;
  }

  private leads(): boolean {
    return this.leases.owned.has(LEADER_STREAM);
  }
}

/** Asks for due deferred events now and then; called between batches, so none is handed out twice. */
class RetryQueue {
  private nextAt = 0;

  constructor(
    private readonly sql: Sql,
    private readonly leases: LeaseKeeper,
    private readonly log: Log,
  ) {}

  async due(): Promise<BatchItem[]> {
    if (Date.now() < this.nextAt) return [];
    this.nextAt = Date.now() + QUEUES_MS;
    const names = this.leases.readable().map((stream) => stream.name);
    return await dueDeferred(this.sql, names, RETRIES_MAX).catch((error: unknown) => {
      this.log.warn({ error: String(error) }, 'could not ask for deferred events');
      return [];
    });
  }
}
