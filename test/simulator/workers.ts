// The simulated workers: each an engine of src/stream/engine.ts on simulated ports, in a process
// that can crash, freeze, be stopped, or be replaced by a newer one of its name; and the supervisor
// that starts what has ended.
// Invariant: the engine's own code runs unchanged; a dead process runs nothing any more.
import type { Log } from '../../src/io/log.ts';
import { Engine } from '../../src/stream/engine.ts';
import type { World } from '../../src/stream/ports.ts';
import { Chance, mix } from './chance.ts';
import type { Process } from './scheduler.ts';
import type { Simulation } from './simulate.ts';
import { WorkerPorts } from './worker-ports.ts';

interface Worker {
  process: Process;
  engine: Engine;
  isStopping: boolean;
}

const BATCH_EVENTS_MAX = 6;
const LEASE_RENEW_MS = 250;
const DEFERRALS_MAX = 3;
const DRAIN_MS = 1_000;
/** As the worker process ends itself when its stop takes too long. */
const KILLED_AFTER_MS = 2_000;
const RESTART_MS = 300;
const SKEW_MS = 5_000;
const LOOKS_MAX = 1_000;

export class Workers {
  /** Of each name, oldest first: a replaced one may still be there. */
  private readonly byName = new Map<string, Worker[]>();
  private started = 0;

  constructor(private readonly simulation: Simulation) {}

  startAll(): void {
    for (const name of this.simulation.plan.workers) this.start(name);
  }

  inflict(what: 'crash' | 'stop' | 'freeze' | 'replace' | 'cut', name: string, ms: number): void {
    const worker = this.newestOf(name);
    if (what === 'replace') return this.start(name);
    if (!worker) return;
    const { process } = worker;
    const { scheduler, redisServer, postgresServer } = this.simulation;
    if (what === 'crash') this.end(worker, ms);
    else if (what === 'stop') this.stop(worker, ms);
    else if (what === 'freeze') process.frozenUntilMs = scheduler.nowMs + ms;
    else for (const server of [redisServer, postgresServer]) server.cut(process);
  }

  /** The faults are over: one of each name runs, and what was stopping has ended. */
  restoreAll(): void {
    for (const name of this.simulation.plan.workers) {
      for (const worker of this.byName.get(name) ?? [])
        if (worker.isStopping) worker.process.alive = false;
      if (!this.newestOf(name)) this.start(name);
    }
  }

  private newestOf(name: string): Worker | undefined {
    return this.byName.get(name)?.findLast(({ process }) => process.alive);
  }

  private start(name: string): void {
    const { simulation } = this;
    const process = simulation.process(name);
    const instance = `instance ${++this.started}`;
    const world = this.worldOf(process);
    const ports = { world, ...new WorkerPorts(simulation, process, instance).all() };
    const worker: Worker = { process, isStopping: false, engine: null as unknown as Engine };
    worker.engine = new Engine(
      ports,
      {
        onSettled: ({ counts }) => {
          for (const [stream, { duplicate }] of counts) {
            simulation.see('duplicate', duplicate);
            simulation.say(name, `settled on ${stream}`);
          }
        },
        onRetry: (reason) => {
          simulation.see(`retry: ${reason}`);
          simulation.say(name, `a write is tried again: ${reason}`);
        },
        onClaimed: (entries) => simulation.see('claimed', entries),
        onBatch: () => simulation.see('batch'),
        onHealth() {},
        onSuperseded: () => {
          simulation.see('superseded');
          simulation.say(name, 'is superseded');
          this.end(worker, null);
        },
      },
      {
        name,
        batchEventsMax: BATCH_EVENTS_MAX,
        leaseRenewMs: LEASE_RENEW_MS,
        deferralsMax: DEFERRALS_MAX,
        drainMs: DRAIN_MS,
      },
    );
    this.byName.set(name, [...(this.byName.get(name) ?? []), worker]);
    simulation.say(name, 'starts');
    worker.engine.start().then(
      // Said by `log.fatal` already.
      () => void worker.engine.ended.catch(() => {}),
      () => this.end(worker, RESTART_MS),
    );
  }

  private stop(worker: Worker, ms: number): void {
    worker.isStopping = true;
    const end = (): void => this.end(worker, ms);
    void worker.engine.stop().then(end, end);
    this.simulation.scheduler.after(KILLED_AFTER_MS, worker.process, end);
  }

  /** Starts it again after `restartMs`, unless that is null or another of its name is there. */
  private end({ process }: Worker, restartMs: number | null): void {
    const { scheduler, redisServer } = this.simulation;
    if (!process.alive) return;
    process.alive = false;
    this.simulation.say(process.name, 'has ended');
    // What it had sent may still arrive; its connections break a moment later.
    scheduler.after(1, null, () => redisServer.cut(process));
    if (restartMs === null) return;
    scheduler.after(restartMs, null, () => {
      if (!this.newestOf(process.name)) this.start(process.name);
    });
  }

  /** It looks at the clock again and again, and never waits: nothing else would ever run. */
  private spin(process: Process): never {
    this.simulation.checks.violate('liveness', `${process.name} spins`);
    throw new Error('spinning');
  }

  private worldOf(process: Process): World {
    const { scheduler, plan, checks } = this.simulation;
    const chance = new Chance(mix(plan.seed, process.number));
    const skewMs = chance.integer(-SKEW_MS, SKEW_MS);
    const quiet = (): void => {};
    const fatal = (_: object, text: string): void => checks.violate('broken', text);
    return {
      time: {
        now: () => {
          if (scheduler.looks++ > LOOKS_MAX) this.spin(process);
          return Math.floor(scheduler.nowMs) + skewMs;
        },
        after: (ms, run) => scheduler.after(ms, process, run),
      },
      random: chance.next,
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet, fatal } as unknown as Log,
    };
  }
}
