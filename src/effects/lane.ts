// A lane carries out the calls of one target: so many at once (its bulkhead), each within a time,
// none while its breaker is open, failed ones again with growing delays. What a call brings is
// appended as events before the call counts as done.
// Invariants: a call is made at least once, always under its own key; the events it brings have ids
// made of that key, so a call that is made twice reports once. An answer that did not come is
// "unknown", and the same call is made again under the same key: nothing else may be tried before.
import {
  BrokenCircuitError,
  ConsecutiveBreaker,
  TimeoutStrategy,
  circuitBreaker,
  handleAll,
  timeout,
  wrap,
} from 'cockatiel';
import { type Time, systemTime } from '../io/clock.ts';
import type { Log } from '../io/log.ts';
import type { ClaimedEffect, EffectStore } from '../store/effects.ts';
import { backoffMs } from '../stream/backoff.ts';
import type { LaneMetrics } from './metrics.ts';

/** An event that a call brings. Its id is the call's key and `suffix`. */
export interface Report {
  suffix: string;
  type: string;
  data: object;
}

export type Outcome =
  | { done: readonly Report[] }
  /** Later; where the target said when, after `afterMs`. */
  | { again: string; afterMs?: number }
  | { giveUp: string; reports?: readonly Report[] };

/** The target failed, which the breaker counts, and what follows for this call is known. */
export class TargetFailed extends Error {
  constructor(
    said: string,
    readonly outcome: Outcome,
  ) {
    super(said);
  }
}

export interface LaneHandler {
  /** Throws where the target failed or nothing is known: that is what the breaker counts. */
  call(effect: ClaimedEffect, signal: AbortSignal): Promise<Outcome>;
  /** Instead of a call while the breaker is open; without it such calls wait. */
  refused?(effect: ClaimedEffect): Outcome | null;
}

export interface LaneOptions {
  name: string;
  concurrency: number;
  timeoutMs: number;
  backoff: { baseMs: number; maxMs: number };
  attemptsMax: number;
  /** Failures in a row that open the breaker, and how long it stays open. */
  breaker: { failures: number; openMs: number };
}

export interface LaneParts {
  store: EffectStore;
  handler: LaneHandler;
  /** Appends the events; rejects when Redis has not said that it has them. */
  report(effect: ClaimedEffect, reports: readonly Report[]): Promise<void>;
  metrics: LaneMetrics;
  log: Log;
  time?: Time;
  random?: () => number;
}

const IDLE_MS = 250;
/** Beyond a call's own time: to report it and to settle it. */
const HOLD_MORE_MS = 15_000;

export class Lane {
  private readonly running = new Set<Promise<void>>();
  private readonly policy;
  private readonly time: Time;
  private stopped = false;
  private wake: (() => void) | null = null;
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly parts: LaneParts,
    private readonly options: LaneOptions,
  ) {
    const { failures, openMs } = options.breaker;
    const breaker = circuitBreaker(handleAll, {
      halfOpenAfter: openMs,
      breaker: new ConsecutiveBreaker(failures),
    });
    breaker.onStateChange((state) => parts.metrics.breaker(state));
    this.policy = wrap(breaker, timeout(options.timeoutMs, TimeoutStrategy.Aggressive));
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
      const claimed = free > 0 ? await this.claim(free) : [];
      for (const effect of claimed) this.launch(effect);
      if (claimed.length === 0) await this.pause();
    }
  }

  private async claim(limit: number): Promise<ClaimedEffect[]> {
    const { name, timeoutMs } = this.options;
    return await this.parts.store
      .claim(name, limit, timeoutMs + HOLD_MORE_MS)
      .catch((error: unknown) => {
        this.parts.log.warn(
          { lane: name, error: String(error) },
          'could not ask for calls to make',
        );
        return [];
      });
  }

  private launch(effect: ClaimedEffect): void {
    const call = this.carryOut(effect).finally(() => {
      this.running.delete(call);
      this.wake?.();
    });
    this.running.add(call);
  }

  private async carryOut(effect: ClaimedEffect): Promise<void> {
    const { metrics, log } = this.parts;
    try {
      const outcome = await this.outcomeOf(effect);
      await this.settle(effect, outcome);
      metrics.settled(effect.kind, Object.keys(outcome)[0]!);
    } catch (error) {
      // Its claim runs out, and it is made again under the same key.
      log.warn({ effect: effect.key, error: String(error) }, 'a call could not be settled');
    }
  }

  private async outcomeOf(effect: ClaimedEffect): Promise<Outcome> {
    const { handler, metrics } = this.parts;
    const startMs = performance.now();
    try {
      const outcome = await this.policy.execute(({ signal }) => handler.call(effect, signal));
      metrics.seconds.observe((performance.now() - startMs) / 1_000);
      return outcome;
    } catch (error) {
      if (error instanceof BrokenCircuitError)
        return handler.refused?.(effect) ?? { again: 'breaker open' };
      metrics.seconds.observe((performance.now() - startMs) / 1_000);
      if (error instanceof TargetFailed) return error.outcome;
      return { again: error instanceof Error ? error.message : String(error) };
    }
  }

  private async settle(effect: ClaimedEffect, outcome: Outcome): Promise<void> {
    const { store, report, random = Math.random } = this.parts;
    if ('done' in outcome) {
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
    const delayMs = outcome.afterMs ?? backoffMs(effect.attempts, this.options.backoff, random);
    await store.again(effect, delayMs, outcome.again);
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
