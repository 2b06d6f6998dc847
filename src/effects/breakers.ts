// Breakers of a lane, one for each target: after so many failures in a row a target is left alone
// for a while, then one call is let through, and tells. Where several targets in a row fail, it is
// what they share that is down, and all are left alone.
// Invariants: a call that would have to wait for a breaker is refused at once, so no claim runs out
// here; breakers are bounded in number.
import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
} from 'cockatiel';

export interface BreakerOptions {
  /** Failures in a row that open a target's breaker, and how long it stays open. */
  failures: number;
  openMs: number;
  /** So many targets that fail in a row, each once, open the lane's own; without it none do. */
  targets?: number;
}

export interface BreakerEvents {
  /** Of one target, or of all: null. */
  changed(target: string | null, isHeld: boolean): void;
  /** A failure that says nothing of other targets: somebody was there, and answered. */
  isOfTargetOnly(error: unknown): boolean;
}

class Failed extends Error {
  constructor(
    readonly target: string,
    override readonly cause: unknown,
  ) {
    super();
  }
}

const TARGETS_MAX = 5_000;

export class Breakers {
  private readonly targets = new Map<string, Breaker>();
  private readonly everyone: Breaker;
  /** Since somebody's call went well. */
  private readonly failing = new Set<string>();

  constructor(
    private readonly options: BreakerOptions,
    private readonly events: BreakerEvents,
    private readonly targetsMax = TARGETS_MAX,
  ) {
    this.everyone = new Breaker(
      { ...options, failures: options.targets ?? Infinity },
      (error) => this.countsForAll(error),
      (isHeld) => events.changed(null, isHeld),
    );
  }

  /** Throws BrokenCircuitError where the call is not made. */
  async through<T>(target: string, call: () => Promise<T>): Promise<T> {
    const own = this.of(target);
    if (own.isHeld || this.everyone.isHeld) throw new BrokenCircuitError();
    try {
      return await this.everyone.execute(() => own.execute(() => this.watched(target, call)));
    } catch (error) {
      throw error instanceof Failed ? error.cause : error;
    }
  }

  /** Those that are left alone now. */
  held(): string[] {
    return [...this.targets].flatMap(([target, { isHeld }]) => (isHeld ? [target] : []));
  }

  private async watched<T>(target: string, call: () => Promise<T>): Promise<T> {
    try {
      const result = await call();
      this.failing.clear();
      return result;
    } catch (error) {
      throw new Failed(target, error);
    }
  }

  private countsForAll(error: unknown): boolean {
    if (!(error instanceof Failed) || this.events.isOfTargetOnly(error.cause)) return false;
    const isFirst = !this.failing.has(error.target);
    this.failing.add(error.target);
    return isFirst || this.everyone.isTrying;
  }

  /** The one that was not asked for longest is forgotten, one that is closed rather. */
  private of(target: string): Breaker {
    const found = this.targets.get(target) ?? this.make(target);
    this.targets.delete(target);
    this.targets.set(target, found);
    return found;
  }

  private make(target: string): Breaker {
    if (this.targets.size >= this.targetsMax) {
      const closed = this.targets.entries().find(([, breaker]) => breaker.isClosed);
      const [first] = closed ?? this.targets.entries().next().value!;
      this.targets.delete(first);
      this.failing.delete(first);
      if (!closed) this.events.changed(first, false);
    }
    return new Breaker(
      this.options,
      () => true,
      (isHeld) => this.events.changed(target, isHeld),
    );
  }
}

class Breaker {
  private readonly policy;
  private openedMs = 0;

  constructor(
    private readonly options: BreakerOptions,
    counts: (error: unknown) => boolean,
    onChange: (isHeld: boolean) => void,
  ) {
    this.policy = circuitBreaker(handleWhen(counts), {
      halfOpenAfter: options.openMs,
      breaker: new ConsecutiveBreaker(options.failures),
    });
    this.policy.onBreak(() => {
      this.openedMs = Date.now();
    });
    this.policy.onStateChange((state) => {
      if (state !== CircuitState.HalfOpen) onChange(state === CircuitState.Open);
    });
  }

  get isClosed(): boolean {
    return this.policy.state === CircuitState.Closed;
  }

  get isTrying(): boolean {
    return this.policy.state === CircuitState.HalfOpen;
  }

  /** Another call would be refused, or would wait for the one that is tried. */
  get isHeld(): boolean {
    const isOver = Date.now() - this.openedMs >= this.options.openMs;
    return this.isTrying || (this.policy.state === CircuitState.Open && !isOver);
  }

  execute<T>(call: () => Promise<T>): Promise<T> {
    return this.policy.execute(call);
  }
}
