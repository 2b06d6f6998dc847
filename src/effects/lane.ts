// A lane carries out the calls of one kind of target: so many at once (its bulkhead), of no tenant
// more than its share, each within a time, none while its target's breaker is open, failed ones
// again with growing delays. What a call brings is appended as events before it counts as done.
// Invariants: a call is made at least once, always under its own key; the events it brings have ids
// made of that key, so a call that is made twice reports once. An answer that did not come is
// "unknown", and the same call is made again under the same key: nothing else may be tried before.
import { BrokenCircuitError, TimeoutStrategy, timeout } from 'cockatiel';
import { type Time, systemTime } from '../io/clock.ts';
import type { Log } from '../io/log.ts';
import type { ClaimedEffect, EffectStore, Memory, PassedBy } from '../store/effects.ts';
import { backoffMs } from '../stream/backoff.ts';
import { type BreakerOptions, Breakers } from './breakers.ts';
import type { LaneMetrics } from './metrics.ts';

/** An event that a call brings. Its id is the call's key and `suffix`. */
export interface Report {
  suffix: string;
  type: string;
  data: object;
}

export type Outcome =
  /** `final`: written down before it is told, so that whoever takes the call over after us, or was
   * away for too long, tells the same and calls nobody: others act on it. */
  | { done: readonly Report[]; final?: true }
  /** Later; where the target said when, after `afterMs`; with what the next try has to know. */
  | { again: string; afterMs?: number; memory?: Memory }
  | { giveUp: string; reports?: readonly Report[] };

/** The target failed, which the breaker counts, and what follows for this call is known. */
export class TargetFailed extends Error {
  constructor(
    said: string,
    readonly outcome: Outcome,
    /** It was there, and failed this target only; others it may serve. */
    readonly isOfTargetOnly = false,
  ) {
    super(said);
  }
}

export interface LaneHandler {
  /** Throws where the target failed or nothing is known: that is what the breaker counts. */
  call(effect: ClaimedEffect, signal: AbortSignal): Promise<Outcome>;
  /** Instead of a call while the breaker is open; without it such calls wait. */
  refused?(effect: ClaimedEffect): Outcome | null;
  /** Who has a breaker of its own; without it, each tenant. */
  targetOf?(effect: ClaimedEffect): string;
}

export interface LaneOptions {
  name: string;
  concurrency: number;
  timeoutMs: number;
  backoff: { baseMs: number; maxMs: number };
  attemptsMax: number;
  breaker: BreakerOptions;
  /** Beyond `timeoutMs`, how long a claim holds. */
  settleMs?: number;
}

/** Who wants to know how targets are. */
export interface LaneWatcher {
  /** One target, or all of them (null), are left alone from now on, or no more. */
  heldBack(target: string | null, isHeld: boolean): void;
  took(target: string, seconds: number): void;
}

export interface LaneParts {
  store: EffectStore;
  handler: LaneHandler;
  /** Appends the events; rejects when Redis has not said that it has them. */
  report(effect: ClaimedEffect, reports: readonly Report[]): Promise<void>;
  metrics: LaneMetrics;
  watcher?: LaneWatcher;
  log: Log;
  time?: Time;
  random?: () => number;
}

/** In an effect's memory: what it brought. */
const FINAL = 'final';
const IDLE_MS = 250;
/** Of a claim beyond the call's own time: to begin it, to report it and to settle it. */
const SETTLE_MS = 15_000;
/** A claim with less left than the call's time and this share of the rest is left to others. */
const SHARE_TO_SETTLE = 1 / 3;
/** A tenant with so much of the lane under way is given no more: the rest is for others. */
const SHARE_OF_TENANT = 0.5;
/** Claimed at once at most, so that a tenant that had nothing under way stays near its share. */
const SHARE_OF_CLAIM = 0.25;

export class Lane {
  private readonly running = new Set<Promise<void>>();
  private readonly runningOf = new Map<number, number>();
  private readonly breakers: Breakers;
  private readonly timeout;
  private readonly time: Time;
  private stopped = false;
  private wake: (() => void) | null = null;
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly parts: LaneParts,
    private readonly options: LaneOptions,
  ) {
    const held = new Set<string | null>();
    this.breakers = new Breakers(options.breaker, {
      changed(target, isHeld) {
        if (isHeld) held.add(target);
        else held.delete(target);
        parts.metrics.held(held.size);
        parts.watcher?.heldBack(target, isHeld);
      },
      isOfTargetOnly: (error) => error instanceof TargetFailed && error.isOfTargetOnly,
    });
    this.timeout = timeout(options.timeoutMs, TimeoutStrategy.Aggressive);
    this.time = parts.time ?? systemTime;
  }

  start(): void {
    this.loop = this.run();
  }

  /** Something may be due. */
  nudge(): void {
    this.wake?.();
  }

  /** Resolves when no call is under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.wake?.();
    await this.loop;
    await Promise.all(this.running);
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const free = this.options.concurrency - this.running.size;
      const askedMs = performance.now();
      const claimed = free > 0 ? await this.claim(free) : [];
      for (const effect of claimed) this.launch(effect, askedMs);
      if (claimed.length === 0) await this.pause();
    }
  }

  private async claim(limit: number): Promise<ClaimedEffect[]> {
    const { name, timeoutMs, concurrency } = this.options;
    const most = Math.min(limit, Math.ceil(concurrency * SHARE_OF_CLAIM));
    return await this.parts.store
      .claim(name, most, timeoutMs + this.settleMs, this.passedBy())
      .catch((error: unknown) => {
        this.parts.log.warn(
          { lane: name, error: String(error) },
          'could not ask for calls to make',
        );
        return [];
      });
  }

  private passedBy(): PassedBy {
    const share = Math.ceil(this.options.concurrency * SHARE_OF_TENANT);
    const full = [...this.runningOf].flatMap(([tenant, count]) => (count < share ? [] : [tenant]));
    const resting = this.parts.handler.targetOf ? [] : this.breakers.held().map(Number);
    return { full, resting };
  }

  private launch(effect: ClaimedEffect, claimedMs: number): void {
    const { tenant } = effect;
    this.count(tenant, 1);
    const call = this.carryOut(effect, claimedMs).finally(() => {
      this.running.delete(call);
      this.count(tenant, -1);
      this.wake?.();
    });
    this.running.add(call);
  }

  private count(tenant: number, more: number): void {
    const count = (this.runningOf.get(tenant) ?? 0) + more;
    if (count > 0) this.runningOf.set(tenant, count);
    else this.runningOf.delete(tenant);
  }

  private async carryOut(effect: ClaimedEffect, claimedMs: number): Promise<void> {
    const { store, metrics, log, random = Math.random } = this.parts;
    try {
      const outcome = await this.outcomeOf(effect, claimedMs);
      await this.settle(effect, outcome);
      metrics.settled(effect.kind, Object.keys(outcome)[0]!);
    } catch (error) {
      // What it brought was not told, so it is made again under the same key.
      log.warn({ effect: effect.key, error: String(error) }, 'a call could not be settled');
      const delayMs = backoffMs(effect.attempts, this.options.backoff, random);
      // Where this fails too, its claim runs out.
      await store.again(effect, delayMs, 'could not be settled').catch(() => {});
    }
  }

  private async outcomeOf(effect: ClaimedEffect, claimedMs: number): Promise<Outcome> {
    const { handler, metrics, watcher } = this.parts;
    const told = effect.memory[FINAL] as readonly Report[] | undefined;
    if (told) return { done: told };
    const startMs = performance.now();
    // We were frozen: by now somebody else may have it.
    if (startMs - claimedMs > this.settleMs * (1 - SHARE_TO_SETTLE))
      throw new Error('the claim is too old');
    const target = handler.targetOf?.(effect) ?? String(effect.tenant);
    const took = (): void => {
      const seconds = (performance.now() - startMs) / 1_000;
      metrics.seconds.observe(seconds);
      watcher?.took(target, seconds);
    };
    try {
      const outcome = await this.breakers.through(target, () =>
        this.timeout.execute(({ signal }) => handler.call(effect, signal)),
      );
      took();
      return outcome;
    } catch (error) {
      if (error instanceof BrokenCircuitError)
        return handler.refused?.(effect) ?? { again: 'breaker open' };
      took();
      if (error instanceof TargetFailed) return error.outcome;
      return { again: error instanceof Error ? error.message : String(error) };
    }
  }

  private get settleMs(): number {
    return this.options.settleMs ?? SETTLE_MS;
  }

  private async settle(effect: ClaimedEffect, outcome: Outcome): Promise<void> {
    const { store, report, random = Math.random } = this.parts;
    if ('done' in outcome) {
      if (outcome.final) await this.remember(effect, { [FINAL]: outcome.done });
      await report(effect, outcome.done);
      await store.done(effect);
      return;
    }
    if ('giveUp' in outcome) {
      await report(effect, outcome.reports ?? []);
      await store.giveUp(effect, outcome.giveUp);
      return;
    }
    if (effect.attempts >= this.options.attemptsMax) {
      await store.giveUp(effect, outcome.again);
      return;
    }
    if (outcome.memory) await this.remember(effect, outcome.memory);
    const delayMs = outcome.afterMs ?? backoffMs(effect.attempts, this.options.backoff, random);
    await store.again(effect, delayMs, outcome.again);
  }

  private async remember(effect: ClaimedEffect, memory: Memory): Promise<void> {
    if (!(await this.parts.store.remember(effect, memory))) throw new Error('the claim is over');
  }

  private async pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const callOff = this.time.after(IDLE_MS, resolve);
      this.wake = () => {
        callOff();
        resolve();
      };
    });
    this.wake = null;
  }
}
