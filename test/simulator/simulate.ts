// One run: a few workers, the clients that feed them and read from them, Redis and Postgres, all on
// one virtual clock, with the faults of a schedule; then everything heals, and must come to rest.
// Invariant: a run is a function of its plan and its mutations.
import { Checks, type Violation } from './checks.ts';
import { Chance, mix } from './chance.ts';
import { Clients } from './clients.ts';
import { atRest, finalChecks } from './ending.ts';
import { Ledger } from './ledger.ts';
import { Link, Server } from './link.ts';
import { Locks } from './locks.ts';
import { type Mutations, NO_MUTATION } from './mutations.ts';
import { RedisModel } from './redis.ts';
import {
  type FaultInTime,
  type FaultOfCall,
  HEALED_MS,
  type Schedule,
  drawSchedule,
} from './schedule.ts';
import { Process, Scheduler } from './scheduler.ts';
import { type PlannedEntry, STREAMS, drawTraffic } from './traffic.ts';
import { Workers } from './workers.ts';

export interface Plan {
  seed: number;
  workers: readonly string[];
  schedule: Schedule;
  traffic: PlannedEntry[];
}

export interface Outcome {
  violation: Violation | null;
  steps: number;
  hash: number;
  /** How often each thing happened that a run is there to meet. */
  seen: ReadonlyMap<string, number>;
  lines: readonly string[];
}

/** Guess: several times what a claim, a deadline and a few retries take. */
const RESTED_MS = HEALED_MS + 150_000;
/** Time for what follows the last commit: upkeep comes round, readers read once more. */
const AFTERGLOW_MS = 3_000;
const STEPS_MAX = 400_000;
const LOOK_EVERY = 50;

export function planOf(seed: number): Plan {
  const workers = ['w1', 'w2', 'w3'].slice(0, 1 + (mix(seed, 77) % 3));
  return {
    seed,
    workers,
    schedule: drawSchedule(seed, workers),
    traffic: drawTraffic(seed, HEALED_MS - 1_000),
  };
}

export function simulate(
  plan: Plan,
  options: { mutations?: Partial<Mutations> | undefined; tracing?: boolean } = {},
): Outcome {
  const mutations = { ...NO_MUTATION, ...options.mutations };
  return new Simulation(plan, mutations, options.tracing ?? false).run();
}

export class Simulation {
  readonly scheduler = new Scheduler();
  readonly checks = new Checks();
  readonly locks = new Locks();
  readonly chance: Chance;
  readonly redisServer = new Server('Redis', true);
  readonly postgresServer = new Server('Postgres', false);
  readonly redis: RedisModel;
  readonly ledger: Ledger;
  readonly seen = new Map<string, number>();
  private readonly workers: Workers;
  private readonly clients: Clients;
  private readonly faults = new Map<string, FaultOfCall>();
  private readonly lines: string[] = [];
  private readonly calls = new Map<string, number>();
  private readonly silentUntilMs = new Map<string, number>();
  private processes = 0;
  private restedAtMs = Infinity;

  constructor(
    readonly plan: Plan,
    private readonly mutations: Mutations,
    private readonly tracing: boolean,
  ) {
    const { scheduler, checks } = this;
    for (const fault of plan.schedule.calls)
      this.faults.set(`${fault.process} ${fault.call} ${fault.nth}`, fault);
    this.chance = new Chance(plan.seed ^ 0xc4a2);
    const now = (): number => Math.floor(scheduler.nowMs);
    const names = Array.from({ length: STREAMS }, (_, partition) => `events.${partition}`);
    this.ledger = new Ledger(names, now, checks, mutations);
    checks.ledger = this.ledger;
    this.redis = new RedisModel(now, checks, mutations, (partition, offset) =>
      this.clients.hear(partition, offset),
    );
    this.clients = new Clients(this, plan.traffic);
    this.workers = new Workers(this);
  }

  run(): Outcome {
    const { scheduler, checks } = this;
    for (const fault of this.plan.schedule.times)
      scheduler.after(fault.atMs, null, () => this.inflict(fault));
    scheduler.after(HEALED_MS, null, () => this.workers.restoreAll());
    this.workers.startAll();
    this.clients.start();
    while (!checks.violation && scheduler.steps < STEPS_MAX && scheduler.step())
      if (this.isOver()) break;
    if (!checks.violation) this.end();
    for (const { lost, renumbered, deferred, dead, refused } of this.ledger.streams.values()) {
      this.see('lost offset', lost);
      this.see('renumbered', renumbered);
      this.see('dead', dead + deferred);
      this.see('refused', refused);
    }
    this.see('torn append', this.redis.torn);
    this.see('balance cached by a commit', this.redis.puts);
    const committed = this.seen.get('write committed') ?? 0;
    this.see('commit whose reply was lost', committed - (this.seen.get('write answered') ?? 0));
    const { violation } = checks;
    return {
      violation,
      steps: scheduler.steps,
      hash: scheduler.hash,
      seen: this.seen,
      lines: this.lines,
    };
  }

  process(name: string): Process {
    return new Process(name, ++this.processes);
  }

  /** `deadlineMs` of null: the client has none. Only connections to Redis keep the order. */
  link(process: Process, server: Server, deadlineMs: number | null): Link {
    const { scheduler, plan, mutations } = this;
    return new Link({
      ...{ server, process, scheduler, deadlineMs, seed: plan.seed },
      isOrdered: server === this.redisServer,
      resends: mutations.resends && server === this.redisServer,
      nthOf: (name, call) => this.countCall(`${name} ${call}`),
      faultOf: (name, call, nth) =>
        scheduler.sinceStartMs > HEALED_MS ? undefined : this.faults.get(`${name} ${call} ${nth}`),
      isSilent: ({ name }) => (this.silentUntilMs.get(name) ?? 0) > scheduler.nowMs,
      say: (text) => this.say(process.name, text),
    });
  }

  see(what: string, count = 1): void {
    if (count > 0) this.seen.set(what, (this.seen.get(what) ?? 0) + count);
  }

  say(who: string, text: string): void {
    if (!this.tracing) return;
    this.lines.push(`${this.scheduler.sinceStartMs.toFixed(2).padStart(9)} ms  ${who}: ${text}`);
  }

  /** At rest, and for a while after; or out of patience. */
  private isOver(): boolean {
    const atMs = this.scheduler.sinceStartMs;
    if (atMs < HEALED_MS || this.scheduler.steps % LOOK_EVERY > 0) return false;
    if (!this.clients.areDone || atRest(this) !== null) this.restedAtMs = Infinity;
    else this.restedAtMs = Math.min(this.restedAtMs, atMs);
    return atMs > RESTED_MS || atMs > this.restedAtMs + AFTERGLOW_MS;
  }

  private countCall(name: string): number {
    const nth = this.calls.get(name) ?? 0;
    this.calls.set(name, nth + 1);
    return nth;
  }

  private inflict(fault: FaultInTime): void {
    const { what, process: name, ms } = fault;
    this.see(what);
    this.say('world', `${name} ${what}`.trim());
    if (what === 'Redis restarts') {
      if (fault.tailMs > 0) this.checks.mayLose = true;
      this.redis.losePower(fault);
      this.restart(this.redisServer, ms);
    } else if (what === 'Postgres restarts') this.restart(this.postgresServer, ms);
    else if (what === 'silence') this.silentUntilMs.set(name, this.scheduler.nowMs + ms);
    else this.workers.inflict(what, name, ms);
  }

  private restart(server: Server, ms: number): void {
    server.isUp = false;
    server.cut();
    this.scheduler.after(ms, null, () => (server.isUp = true));
  }

  private end(): void {
    const waits = this.clients.areDone ? atRest(this) : 'a client has no answer';
    if (waits !== null) this.checks.violate('liveness', waits);
    else finalChecks(this);
  }
}
