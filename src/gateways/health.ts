// Which gateways are in trouble, and for whom, told by those who call them to those who choose
// between them.
// Invariant: a word lives for seconds, so that a gateway which nobody calls any more is tried
// again; what is chosen by it is only the order, so a wrong word costs time, never money.
import type { Redis } from 'ioredis';
import { type GatewayName } from '../../schemas/payments.ts';
import type { Log } from '../io/log.ts';
import { type Periodic, periodic } from '../io/periodic.ts';

const SLOW_S = 5;
const SLOW_TTL_MS = 10_000;
const LOOK_MS = 1_000;
/** How much the last call counts against those before it. */
const SHARE_OF_LAST = 0.2;
const TENANTS_MAX = 5_000;

/** Members are gateways, or gateways for one tenant; scores are when the word is over. */
const TROUBLE = 'tallyrace:gateways:trouble';
const wordOf = (name: GatewayName, tenant: string | null): string =>
  tenant === null ? name : `${name} ${tenant}`;

/** For those who call. */
export class TroubleTeller {
  /** How long calls of a tenant take, in the mean. */
  private readonly meansS = new Map<string, number>();

  constructor(
    private readonly redis: Redis,
    private readonly name: GatewayName,
    /** As long as the breaker holds calls back: then one is let through, and tells. */
    private readonly downMs: number,
  ) {}

  heldBack(tenant: string | null, isHeld: boolean): void {
    if (isHeld) this.tell(tenant, this.downMs);
    else this.redis.zrem(TROUBLE, wordOf(this.name, tenant)).catch(() => {});
  }

  took(tenant: string, seconds: number): void {
    const before = this.meansS.get(tenant) ?? 0;
    const mean = before + (seconds - before) * SHARE_OF_LAST;
    this.meansS.delete(tenant);
    this.meansS.set(tenant, mean);
    if (this.meansS.size > TENANTS_MAX) this.meansS.delete(this.meansS.keys().next().value!);
    if (mean > SLOW_S) this.tell(tenant, SLOW_TTL_MS);
  }

  /** Nobody is told while Redis is away: then no payment comes in either. */
  private tell(tenant: string | null, forMs: number): void {
    const now = Date.now();
    this.redis
      .pipeline()
      .zadd(TROUBLE, 'GT', now + forMs, wordOf(this.name, tenant))
      .zremrangebyscore(TROUBLE, '-inf', now)
      .exec()
      .catch(() => {});
  }
}

/** For those who choose. */
export class TroubleListener {
  private troubled: ReadonlySet<string> = new Set();
  private readonly looking: Periodic;

  constructor(
    private readonly redis: Redis,
    log: Log,
  ) {
    this.looking = periodic('trouble of gateways', LOOK_MS, () => this.look(), log);
  }

  has(name: GatewayName, tenant: number): boolean {
    return this.troubled.has(name) || this.troubled.has(wordOf(name, String(tenant)));
  }

  async look(): Promise<void> {
    this.troubled = new Set(await this.redis.zrangebyscore(TROUBLE, Date.now(), '+inf'));
  }

  stop(): Promise<void> {
    return this.looking.stop();
  }
}
