// A worker from given parts: leases, the runner, and what must be done now and then beside it.
import type { Redis } from 'ioredis';
import { BalanceCache } from './cache/balances.ts';
import { expireReservations } from './cache/redemption-expiry.ts';
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
import { Settler } from './stream/settle.ts';
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

export interface Worker {
  /** Settles what is in hand, gives the leases back, and resolves when nothing is left running. */
  stop(): Promise<void>;
}

const UPKEEP_MS = 1_000;
const QUEUES_MS = 250;
const EXPIRY_MS = 500;
const EXPIRY_MAX = 500;
const MAINTENANCE_MS = 3_600_000;
const COUNT_MS = 30_000;
const MONTHS_AHEAD = 3;
const RETRIES_MAX = 500;
/** The worker that holds this stream also does what only one worker should do. */
const LEADER_STREAM = 'events.0';

export async function startWorker(parts: WorkerParts, options: WorkerOptions): Promise<Worker> {
  const { redis, blocking, sql, appender, log, rules } = parts;
  const measured = new WorkerMetrics(parts.metrics);
  const balances = new BalanceCache(redis, options.balanceCacheTtlS);
  const leases = new LeaseKeeper({
    worker: options.name,
    store: leaseStore(sql, {
      worker: options.name,
      instance: options.instance,
      leaseMs: options.leaseMs,
      streams: allStreams,
    }),
    renewMs: options.leaseRenewMs,
    log,
    onSuperseded: parts.onSuperseded,
  });
  let stopped = false;
  const afterCommit = new AfterCommit({ redis, balances, log, isStopped: () => stopped });
  const retries = new RetryQueue(sql, leases, log);
  const loader = new BatchLoader(sql, rules);
  const settler = new Settler({
    store: {
      load: (request) => loader.load(request),
      write: (plan, steps) => writeBatch(sql, plan, steps),
      faultOf,
    },
    rules,
    log,
    deferralsMax: options.deferralsMax,
    holds: (stream) => leases.holds(stream),
    refreshLeases: () => leases.refresh(),
    onSettled: async (settled) => {
      measured.settled(settled.plan, Date.now());
      if (settled.plan.followUps.length > 0) relay.nudge();
      await afterCommit.follow(settled);
    },
    onRetry: (reason) => measured.retried(reason),
    isStopped: () => stopped,
  });
  const runner = new Runner(
    {
      blocking,
      redis,
      leases,
      settler,
      afterCommit,
      balances,
      dueRetries: () => retries.due(),
      log,
      onClaimed: (entries, deleted) => {
        measured.claimed.inc(entries);
        measured.deleted.inc(deleted);
        if (deleted > 0) log.error({ deleted }, 'pending entries were trimmed before their commit');
      },
      onBatch: (events) => measured.batchEvents.observe(events),
    },
    { consumer: options.name, batchEventsMax: options.batchEventsMax },
  );

  const upkeep = new Upkeep(redis, log, Date.now);
  await sql`select ensure_entry_partitions(${MONTHS_AHEAD})`;
  await leases.start();
  runner.start();
  const relay = periodic('relay', QUEUES_MS, () => relayAll(), log);
  const tasks: Periodic[] = [
    relay,
    periodic('upkeep', UPKEEP_MS, () => tendAll(), log),
    periodic('expiry', EXPIRY_MS, () => expireAll(), log),
    periodic('partitions', MAINTENANCE_MS, () => ensurePartitions(), log),
    periodic('partners', COUNT_MS, () => countPartners(), log),
  ];

  async function relayAll(): Promise<void> {
    if (!leases.owned.has(LEADER_STREAM)) return;
    const outbox = outboxStore(sql);
    while (!stopped && (await relayOnce(outbox, appender, log)) > 0);
  }

  async function tendAll(): Promise<void> {
    for (const stream of leases.readable()) measured.streamHealth(await upkeep.tend(stream));
  }

  async function expireAll(): Promise<void> {
    for (const { topic, partition } of leases.readable())
      if (topic === 'coupons') await expireReservations({ redis, sql }, partition, EXPIRY_MAX);
  }

  /** One worker says it, so that a sum over processes is right. */
  async function countPartners(): Promise<void> {
    const [row] = await sql`select system_active_partners() as active`;
    const leads = leases.owned.has(LEADER_STREAM);
    measured.activePartners.set(leads ? Number(row!['active']) : 0);
  }

  async function ensurePartitions(): Promise<void> {
    await sql`select ensure_entry_partitions(${MONTHS_AHEAD})`;
  }

  return {
    async stop() {
      const deadline = setTimeout(() => (stopped = true), options.drainMs);
      await Promise.all(tasks.map((task) => task.stop()));
      await runner.stop();
      clearTimeout(deadline);
      stopped = true;
      await appender.drain();
      await leases.stop().catch((error: unknown) => {
        log.warn({ error: String(error) }, 'leases not given back; they run out by themselves');
      });
    },
  };
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
