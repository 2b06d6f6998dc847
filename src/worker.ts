// A worker from given parts: the engine on real ports, and the domains' own work that is done now
// and then beside it.
import type { Redis } from 'ioredis';
import type { Topic } from '../schemas/events.ts';
import { BalanceCache } from './cache/balances.ts';
import { paymentWatcher } from './cache/recent-payments.ts';
import { expireReservations } from './cache/redemption-expiry.ts';
import { RedemptionLife } from './cache/redemption-life.ts';
import type { RebuildParts } from './cache/redemption-rebuild.ts';
import { RedemptionScripts } from './cache/redemption-scripts.ts';
import { systemTime } from './io/clock.ts';
import type { Log } from './io/log.ts';
import type { Metrics } from './io/metrics.ts';
import { type Periodic, periodic } from './io/periodic.ts';
import type { Sql } from './io/postgres.ts';
import type { Rule } from './ledger/decision.ts';
import { paidWatcher } from './risk/history.ts';
import { leaseStore } from './store/leases.ts';
import { BatchLoader } from './store/load.ts';
import { PaymentMetrics } from './store/payment-metrics.ts';
import { dueDeferred, outboxStore } from './store/queues.ts';
import { faultOf, writeBatch } from './store/writer.ts';
import type { Appender } from './stream/append.ts';
import {
  Engine,
  type EngineEvents,
  type EngineOptions,
  type EnginePorts,
} from './stream/engine.ts';
import { streamsOf } from './stream/lease.ts';
import type { RecordWatcher } from './stream/ports.ts';
import { RedisStreams } from './stream/redis-streams.ts';
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

export interface WorkerOptions extends EngineOptions {
  /** Stable across restarts: a new process of the same name replaces the old one at once. */
  name: string;
  instance: string;
  leaseMs: number;
  balanceCacheTtlS: number;
  /** Those whose streams it takes. */
  topics: readonly Topic[];
}

const EXPIRY_MS = 500;
const EXPIRY_MAX = 500;
const MAINTENANCE_MS = 3_600_000;
const COUNT_MS = 30_000;
const MONTHS_AHEAD = 3;

/** Starts; resolves when leases are kept and the streams are being read. */
export async function startWorker(parts: WorkerParts, options: WorkerOptions): Promise<Worker> {
  const worker = new Worker(parts, options);
  await worker.start();
  return worker;
}

export class Worker {
  private readonly measured: WorkerMetrics;
  private readonly payments: PaymentMetrics;
  private readonly engine: Engine;
  private readonly redemptions: RebuildParts;
  private readonly life: RedemptionLife;
  private tasks: Periodic[] = [];

  constructor(
    private readonly parts: WorkerParts,
    options: WorkerOptions,
  ) {
    this.measured = new WorkerMetrics(parts.metrics);
    this.payments = new PaymentMetrics(parts.metrics);
    this.engine = new Engine(portsOf(parts, options, this.measured), this.events(), options);
    const { redis, blocking, sql, log } = parts;
    this.redemptions = { scripts: new RedemptionScripts(redis), sql };
    const dropReads = (): void => blocking.disconnect(true);
    this.life = new RedemptionLife({ ...this.redemptions, dropReads, log });
  }

  async start(): Promise<void> {
    const { log } = this.parts;
    await this.ensurePartitions();
    await this.engine.start();
    this.tasks = [
      periodic('expiry', EXPIRY_MS, () => this.expireAll(), log),
      periodic('partitions', MAINTENANCE_MS, () => this.ensurePartitions(), log),
      periodic('counts', COUNT_MS, () => this.count(), log),
    ];
  }

  /** Settles what is in hand, gives the leases back, and resolves when nothing is left running. */
  async stop(): Promise<void> {
    await Promise.all(this.tasks.map((task) => task.stop()));
    await this.engine.stop();
  }

  private events(): EngineEvents {
    const { measured, payments } = this;
    return {
      onSettled: (plan) => {
        measured.settled(plan, Date.now());
        payments.settled(plan);
      },
      onRetry: (reason) => measured.retried(reason),
      onClaimed: (entries, deleted) => {
        measured.claimed.inc(entries);
        measured.deleted.inc(deleted);
      },
      onBatch: (events) => measured.batchEvents.observe(events),
      onHealth: (health) => measured.streamHealth(health),
      onSuperseded: () => this.parts.onSuperseded(),
    };
  }

  private async expireAll(): Promise<void> {
    const streams = [...this.engine.leases.owned.values()];
    const owned = streams.filter(({ topic }) => topic === 'coupons');
    if (!(await this.life.tend(owned))) return;
    for (const { partition } of owned)
      await expireReservations(this.redemptions, partition, EXPIRY_MAX);
  }

  /** One worker says it, so that a sum over processes is right. */
  private async count(): Promise<void> {
    const [row] = await this.parts.sql`
      select system_active_partners() as partners, system_dead_letter_count() as dead`;
    const { leads } = this.engine;
    this.measured.activePartners.set(leads ? Number(row!['partners']) : 0);
    this.measured.deadLetters.set(leads ? Number(row!['dead']) : 0);
  }

  private async ensurePartitions(): Promise<void> {
    await this.parts.sql`select ensure_entry_partitions(${MONTHS_AHEAD})`;
  }
}

function portsOf(
  parts: WorkerParts,
  options: WorkerOptions,
  { flushSeconds }: WorkerMetrics,
): EnginePorts {
  const { redis, blocking, sql, appender, rules, log } = parts;
  const { name: worker, instance, leaseMs } = options;
  const loader = new BatchLoader(sql, rules);
  return {
    world: { time: systemTime, random: Math.random, log },
    streams: new RedisStreams(redis, blocking, worker),
    ledger: {
      load: (request) => loader.load(request),
      async write(plan, steps) {
        const startMs = performance.now();
        const written = await writeBatch(sql, plan, steps);
        flushSeconds.observe((performance.now() - startMs) / 1_000);
        return written;
      },
      faultOf,
    },
    leases: leaseStore(sql, { worker, instance, leaseMs, streams: streamsOf(options.topics) }),
    balances: new BalanceCache(redis, options.balanceCacheTtlS),
    records: toldBoth(paymentWatcher(redis), paidWatcher(redis)),
    deferred: { due: (streams, limit) => dueDeferred(sql, streams, limit) },
    outbox: outboxStore(sql),
    appender,
    rules,
  };
}

/** Told again, either does no harm. */
function toldBoth(one: RecordWatcher, other: RecordWatcher): RecordWatcher {
  return {
    async changed(records) {
      await Promise.all([one.changed(records), other.changed(records)]);
    },
  };
}
