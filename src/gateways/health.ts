// Which gateways are in trouble, told by those who call them to those who choose between them.
// Invariant: a word lives for seconds, so that a gateway which nobody calls any more is tried
// again; what is chosen by it is only the order, so a wrong word costs time, never money.
import { CircuitState } from 'cockatiel';
import type { Redis } from 'ioredis';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import type { Log } from '../io/log.ts';
import { type Periodic, periodic } from '../io/periodic.ts';

const SLOW_S = 5;
const SLOW_TTL_MS = 10_000;
const LOOK_MS = 1_000;
/** How much the last call counts against those before it. */
const SHARE_OF_LAST = 0.2;

const keyOf = (name: GatewayName): string => `tallyrace:gateway:${name}:trouble`;

/** For those who call. */
export class TroubleTeller {
  private meanS = 0;

  constructor(
    private readonly redis: Redis,
    private readonly name: GatewayName,
    /** As long as the breaker holds calls back: then one is let through, and tells. */
    private readonly downMs: number,
  ) {}

  breaker(state: CircuitState): void {
    if (state === CircuitState.Open) this.tell('down', this.downMs);
    if (state === CircuitState.Closed) this.redis.del(keyOf(this.name)).catch(() => {});
  }

  took(seconds: number): void {
    this.meanS += (seconds - this.meanS) * SHARE_OF_LAST;
    if (this.meanS > SLOW_S) this.tell('slow', SLOW_TTL_MS);
  }

  /** Nobody is told while Redis is away: then no payment comes in either. */
  private tell(trouble: string, forMs: number): void {
    this.redis.set(keyOf(this.name), trouble, 'PX', forMs).catch(() => {});
  }
}

/** For those who choose. */
export class TroubleListener {
  private troubled = new Set<GatewayName>();
  private readonly looking: Periodic;

  constructor(
    private readonly redis: Redis,
    log: Log,
  ) {
    this.looking = periodic('trouble of gateways', LOOK_MS, () => this.look(), log);
  }

  has(name: GatewayName): boolean {
    return this.troubled.has(name);
  }

  async look(): Promise<void> {
    const told = await this.redis.mget(...gatewayNames.map(keyOf));
    this.troubled = new Set(gatewayNames.filter((_, index) => told[index] !== null));
  }

  stop(): Promise<void> {
    return this.looking.stop();
  }
}
