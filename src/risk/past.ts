// Reads from the payments table what customers have paid, for those that Redis knows nothing of.
// One query of a tenant is under way at a time, and whoever asks meanwhile goes with the next;
// while Postgres is away nobody waits for it.
// Invariant: what could not be read is said to be unknown, and never taken for "has paid nothing".
import type { Clock } from '../io/clock.ts';
import { within } from '../io/deadline.ts';
import type { Log } from '../io/log.ts';
import type { Sql } from '../io/postgres.ts';
import { type Paid, paidBy } from '../store/risk.ts';
import { PAID_KEPT, PAID_LOOK_AT, type PaidHistory } from './history.ts';

/** Guess: a payment would rather be judged without its past than wait for longer. */
const DEADLINE_MS = 300;
const OUTAGE_PAUSE_MS = 1_000;
const BATCH_MAX = 200;
/** Of one tenant. Beyond it the past is unknown, since it would come too late. */
const WAITING_MAX = 5_000;

export interface PastParts {
  sql: Sql;
  history: PaidHistory;
  clock: Clock;
  log: Log;
}

type Resolve = (paid: readonly Paid[] | null) => void;

export class Past {
  /** By tenant, then by customer. A tenant is here while a query of it is under way. */
  private readonly waiting = new Map<number, Map<string, Resolve[]>>();
  private awayUntil = 0;

  constructor(private readonly parts: PastParts) {}

  /** Null where it cannot be read now. */
  async of(tenant: number, customer: string): Promise<readonly Paid[] | null> {
    if (this.parts.clock() < this.awayUntil) return null;
    let asked = this.waiting.get(tenant);
    if (!asked) {
      this.waiting.set(tenant, (asked = new Map()));
      void this.readAll(tenant, asked);
    }
    if (asked.size >= WAITING_MAX) return null;
    const { promise, resolve } = Promise.withResolvers<readonly Paid[] | null>();
    const others = asked.get(customer);
    if (others) others.push(resolve);
    else asked.set(customer, [resolve]);
    return await within(promise, DEADLINE_MS).catch(() => null);
  }

  private async readAll(tenant: number, asked: Map<string, Resolve[]>): Promise<void> {
    // Whoever asks in this turn of the loop goes with the first.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (asked.size > 0) {
      const batch = new Map([...asked].slice(0, BATCH_MAX));
      for (const customer of batch.keys()) asked.delete(customer);
      const paid = await this.read(tenant, [...batch.keys()]);
      for (const [customer, resolves] of batch)
        for (const resolve of resolves) resolve(paid?.get(customer) ?? null);
    }
    this.waiting.delete(tenant);
  }

  private async read(
    tenant: number,
    customers: readonly string[],
  ): Promise<ReadonlyMap<string, Paid[]> | null> {
    const { sql, history, clock, log } = this.parts;
    if (clock() < this.awayUntil) return null;
    try {
      const bounds = { lookAt: PAID_LOOK_AT, limit: PAID_KEPT };
      const found = await within(paidBy(sql, tenant, customers, bounds), DEADLINE_MS);
      // Not waited for: without it the next payment reads the table again.
      for (const [customer, paid] of found)
        void history.remember(tenant, customer, paid).catch(() => {});
      return found;
    } catch (error) {
      log.warn({ error: String(error) }, 'what customers have paid cannot be read');
      this.awayUntil = clock() + OUTAGE_PAUSE_MS;
      return null;
    }
  }
}
