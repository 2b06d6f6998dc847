// Keeps one process running: starts it, writes its pid file, starts it again when it dies.
// Invariant: at most one instance at a time, and none after stop() has resolved.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startOf } from './identity.ts';
import type { Home } from './home.ts';
import { prepareLog, spawnLogged, untilServing, type Launch, type Running } from './launch.ts';

/** The first death is answered at once; who keeps dying waits longer and longer. */
export const RESTART_DELAYS_MS: readonly number[] = [0, 250, 500, 1_000, 2_000, 5_000];
/** Who lived so long has recovered: its next death counts as the first. */
const RECOVERED_AFTER_MS = 30_000;

export function restartDelayMs(deathsInARow: number): number {
  return RESTART_DELAYS_MS[Math.min(deathsInARow, RESTART_DELAYS_MS.length) - 1] ?? 0;
}

export class Keeper {
  private running: Running | null = null;
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

  async stop(): Promise<void> {
    this.stopping = true;
    this.wake?.();
    await this.running?.stop();
    await this.loop;
    this.forget();
  }

  private async watch(first: Running): Promise<void> {
    let running = first;
    for (;;) {
      const startedAt = Date.now();
      const how = await running.exited;
      if (this.stopping) return;
      if (Date.now() - startedAt > RECOVERED_AFTER_MS) this.deathsInARow = 0;
      const delayMs = restartDelayMs(++this.deathsInARow);
      const when = delayMs === 0 ? 'at once' : `in ${delayMs / 1_000} s`;
      this.say(`${this.name} ended (${how}); starting it again ${when}`);
      await this.pause(delayMs);
      if (this.stopping) return;
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
    this.running = spawnLogged(this.plan, this.logFile);
    remember(this.home, this.name, this.running.pid);
    return this.running;
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
