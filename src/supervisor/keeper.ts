// Keeps one process running: starts it, writes its pid file, starts it again when it dies, and
// replaces it when asked.
// Invariant: none runs after stop() has resolved, and at most one at a time, but for a replacement
// that its plan lets overlap.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startOf } from './identity.ts';
import type { Home } from './home.ts';
import {
  Unavailable,
  prepareLog,
  spawnLogged,
  untilServing,
  type Launch,
  type Running,
} from './launch.ts';

/** The first death is answered at once; who keeps dying waits longer and longer. */
export const RESTART_DELAYS_MS: readonly number[] = [0, 250, 500, 1_000, 2_000, 5_000];
/** Who lived so long has recovered: its next death counts as the first. */
const RECOVERED_AFTER_MS = 30_000;

export function restartDelayMs(deathsInARow: number): number {
  return RESTART_DELAYS_MS[Math.min(deathsInARow, RESTART_DELAYS_MS.length) - 1] ?? 0;
}

export class Keeper {
  private running: Running | null = null;
  /** A replacement that does not serve yet. */
  private next: Running | null = null;
  private deathsInARow = 0;
  private stopping = false;
  private wake: (() => void) | null = null;
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly plan: Launch,
    private readonly home: Home,
    private readonly say: (line: string) => void,
  ) {}

  get name(): string {
    return this.plan.name;
  }

  /** Resolves when it serves for the first time; rejects, with the reason, when it does not. */
  async start(): Promise<void> {
    const offset = prepareLog(this.logFile);
    const running = this.spawn();
    try {
      await untilServing(this.plan, running, this.logFile, offset);
    } catch (error) {
      this.forget();
      throw error;
    }
    this.loop = this.watch(running);
  }

  /**
   * Puts a new process in the place of the running one, which ends in order. Rejects when the new
   * one does not serve: the old one then goes on, or, where both cannot be at once, it is tried
   * again and again.
   */
  async replace(): Promise<void> {
    if (this.stopping) throw new Unavailable(`${this.name} is being stopped`);
    if (this.plan.overlaps) await this.replaceBeside();
    else await this.replaceAfter();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.wake?.();
    await Promise.all([this.next?.stop(), this.running?.stop()]);
    await this.loop;
    this.forget();
  }

  private async replaceBeside(): Promise<void> {
    const offset = prepareLog(this.logFile);
    const next = spawnLogged(this.plan, this.logFile);
    this.next = next;
    try {
      await untilServing(this.plan, next, this.logFile, offset);
    } finally {
      this.next = null;
    }
    if (this.stopping) return next.stop();
    const old = this.running;
    this.adopt(next);
    this.loop = this.watch(next);
    await old?.stop();
  }

  private async replaceAfter(): Promise<void> {
    const old = this.running;
    // Its end is no death: nobody watches it from here on.
    this.running = null;
    await old?.stop();
    if (this.stopping) return;
    const offset = prepareLog(this.logFile);
    const next = this.spawn();
    this.loop = this.watch(next);
    await untilServing(this.plan, next, this.logFile, offset);
  }

  /** Until it ends for good, or another has its place. */
  private async watch(first: Running): Promise<void> {
    let running = first;
    for (;;) {
      const startedAt = Date.now();
      const how = await running.exited;
      if (this.stopping || this.running !== running) return;
      if (Date.now() - startedAt > RECOVERED_AFTER_MS) this.deathsInARow = 0;
      const delayMs = restartDelayMs(++this.deathsInARow);
      const when = delayMs === 0 ? 'at once' : `in ${delayMs / 1_000} s`;
      this.say(`${this.name} ended (${how}); starting it again ${when}`);
      await this.pause(delayMs);
      if (this.stopping || this.running !== running) return;
      prepareLog(this.logFile);
      running = this.spawn();
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private spawn(): Running {
    this.plan.before?.();
    return this.adopt(spawnLogged(this.plan, this.logFile));
  }

  private adopt(running: Running): Running {
    this.running = running;
    remember(this.home, this.name, running.pid);
    return running;
  }

  private forget(): void {
    this.running = null;
    rmSync(pidFile(this.home, this.name), { force: true });
    rmSync(startFile(this.home, this.name), { force: true });
  }

  private get logFile(): string {
    return join(this.home.logs, `${this.name}.log`);
  }
}

const pidFile = (home: Home, name: string): string => join(home.run, `${name}.pid`);
/** When that process started: the number alone may be somebody else's by now. */
const startFile = (home: Home, name: string): string => join(home.run, `${name}.started`);

function remember(home: Home, name: string, pid: number): void {
  writeFileSync(startFile(home, name), `${pid} ${startOf(pid)}\n`);
  writeFileSync(pidFile(home, name), `${pid}\n`);
}

/** The process of this name that an earlier supervisor left behind; null when it is gone. */
export function leftBehind(home: Home, name: string): number | null {
  const file = startFile(home, name);
  if (!existsSync(file)) return null;
  const [pid, ...start] = readFileSync(file, 'utf8').trim().split(' ');
  const number = Number(pid);
  const now = startOf(number);
  return now !== null && now === start.join(' ') ? number : null;
}
