// The engine from its ports: leases, the runner, and what is done now and then for owned streams.
// It is the same in production and under the simulator; only the ports differ.
// Invariant: a stop settles what is in hand or leaves it pending, then gives the leases back.
import { type Periodic, periodic } from '../io/periodic.ts';
import type { BatchPlan } from '../ledger/batch.ts';
import type { Rule } from '../ledger/decision.ts';
import type { LeaseStore } from '../store/leases.ts';
import { AfterCommit } from './after-commit.ts';
import { withDeadlines } from './deadlines.ts';
import { LeaseKeeper } from './lease.ts';
import { Pipeline } from './pipeline.ts';
import type { BalanceStore, RecordWatcher, EventAppender, StreamStore, World } from './ports.ts';
import { type OutboxStore, relayOnce } from './relay.ts';
import { type DeferredStore, RetryQueue } from './retry-queue.ts';
import { Runner } from './runner.ts';
import { type LedgerStore, Settler, type SettlerOptions } from './settle.ts';
import { type StreamHealth, Upkeep } from './upkeep.ts';

export interface EnginePorts {
  world: World;
  streams: StreamStore;
  ledger: LedgerStore;
  leases: LeaseStore;
  balances: BalanceStore;
  records: RecordWatcher;
  deferred: DeferredStore;
  outbox: OutboxStore;
  appender: EventAppender;
  rules: ReadonlyMap<string, Rule>;
}

/** What a worker measures, and the one thing that ends it. */
export interface EngineEvents {
  onSettled(plan: BatchPlan): void;
  onRetry(reason: string): void;
  onClaimed(entries: number, deleted: number): void;
  onBatch(events: number): void;
  onHealth(health: StreamHealth): void;
  onSuperseded(): void;
}

export interface EngineOptions {
  name: string;
  batchEventsMax: number;
  leaseRenewMs: number;
  /** Deferrals of one event before it goes to the dead letters. */
  deferralsMax: number;
  /** How long a stop may take to settle what is in hand; the rest stays pending in Redis. */
  drainMs: number;
}

const UPKEEP_MS = 1_000;
const RELAY_MS = 250;
/** The worker that holds this stream also does what only one worker should do. */
const LEADER_STREAM = 'events.0';

export class Engine {
  readonly leases: LeaseKeeper;
  readonly upkeep: Upkeep;
  private readonly afterCommit: AfterCommit;
  private readonly runner: Runner;
  private relay: Periodic | undefined;
  private tasks: Periodic[] = [];
  private stopped = false;

  private readonly ports: EnginePorts;

  constructor(
    given: EnginePorts,
    private readonly events: EngineEvents,
    private readonly options: EngineOptions,
  ) {
    const ports = (this.ports = withDeadlines(given));
    const { world, streams, balances, records, deferred } = ports;
    const { name: worker, leaseRenewMs: renewMs } = options;
    const { onSuperseded } = events;
    this.upkeep = new Upkeep(streams, world);
    this.leases = new LeaseKeeper({ worker, store: ports.leases, renewMs, world, onSuperseded });
    const isStopped = (): boolean => this.stopped;
    this.afterCommit = new AfterCommit({ streams, balances, records, world, isStopped });
    const retries = new RetryQueue(deferred, this.leases, world);
    this.runner = new Runner(
      {
        ...{ streams, balances, world, leases: this.leases, afterCommit: this.afterCommit },
        pipeline: this.makePipeline(isStopped),
        dueRetries: () => retries.due(),
        onClaimed: (entries, deleted) => this.claimed(entries, deleted),
        onBatch: (count) => events.onBatch(count),
      },
      options.batchEventsMax,
    );
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  /** Whether this worker does what only one worker should do. */
  get leads(): boolean {
    return this.leases.owned.has(LEADER_STREAM);
  }

  /** Rejects on a broken invariant, which ends a process that does not look at it. */
  get ended(): Promise<unknown> {
    return this.runner.ended;
  }

  /** Resolves when leases are kept and the streams are being read. */
  async start(): Promise<void> {
    const { log, time } = this.ports.world;
    await this.leases.start();
    this.runner.start();
    this.relay = periodic('relay', RELAY_MS, () => this.relayAll(), log, time);
    this.tasks = [this.relay, periodic('upkeep', UPKEEP_MS, () => this.tendAll(), log, time)];
  }

  /** Settles what is in hand, gives the leases back, and resolves when nothing is left running. */
  async stop(): Promise<void> {
    const { time, log } = this.ports.world;
    const callOff = time.after(this.options.drainMs, () => (this.stopped = true));
    await Promise.all(this.tasks.map((task) => task.stop()));
    await this.runner.stop();
    callOff();
    this.stopped = true;
    await this.ports.appender.drain();
    await this.leases.stop().catch((error: unknown) => {
      log.warn({ error: String(error) }, 'leases not given back; they run out by themselves');
    });
  }

  private makePipeline(isStopped: () => boolean): Pipeline {
    const { world, rules, ledger } = this.ports;
    const options: SettlerOptions = {
      store: ledger,
      rules,
      world,
      deferralsMax: this.options.deferralsMax,
      holds: (stream) => this.leases.holds(stream),
      refreshLeases: () => this.leases.refresh(),
      onSettled: async (settled) => {
        this.events.onSettled(settled.plan);
        if (settled.plan.followUps.length > 0) this.relay?.nudge();
        await this.afterCommit.follow(settled);
      },
      onRetry: (reason) => this.events.onRetry(reason),
      isStopped,
    };
    return new Pipeline(new Settler(options), options);
  }

  private claimed(entries: number, deleted: number): void {
    this.events.onClaimed(entries, deleted);
    if (deleted === 0) return;
    this.ports.world.log.error({ deleted }, 'pending entries were trimmed before their commit');
  }

  private async relayAll(): Promise<void> {
    if (!this.leads) return;
    const { outbox, appender, world } = this.ports;
    while (!this.stopped && (await relayOnce(outbox, appender, world.log)) > 0);
  }

  private async tendAll(): Promise<void> {
    // Those that are leaving too: what is left to acknowledge would hold them back.
    for (const stream of [...this.leases.owned.values()])
      this.events.onHealth(await this.upkeep.tend(stream));
  }
}
