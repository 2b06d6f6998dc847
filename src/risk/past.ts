// Reads from the payments table what customers have paid, for those that Redis knows nothing of.
// Customers of one moment are one query; while Postgres is away nobody waits for it.
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

interface Waiting {
  customers: Set<string>;
  found: Promise<ReadonlyMap<string, Paid[]> | null>;
}

export interface PastParts {
  sql: Sql;
  history: PaidHistory;
  clock: Clock;
  log: Log;
}

export class Past {
  private readonly waiting = new Map<number, Waiting>();
  private awayUntil = 0;

  constructor(private readonly parts: PastParts) {}

  /** Null where it cannot be read now. */
  async of(tenant: number, customer: string): Promise<readonly Paid[] | null> {
    if (this.parts.clock() < this.awayUntil) return null;
    const found = await this.asked(tenant, customer);
    return found?.get(customer) ?? null;
  }

  private asked(tenant: number, customer: string): Waiting['found'] {
    const known = this.waiting.get(tenant);
    if (known && known.customers.size < BATCH_MAX) {
      known.customers.add(customer);
      return known.found;
    }
    const customers = new Set([customer]);
    const found = this.read(tenant, customers);
    this.waiting.set(tenant, { customers, found });
    return found;
  }

  private async read(tenant: number, customers: Set<string>): Waiting['found'] {
    // Whoever asks in this turn of the loop goes with it.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.waiting.get(tenant)?.customers === customers) this.waiting.delete(tenant);
    const { sql, history, clock, log } = this.parts;
    try {
      const bounds = { lookAt: PAID_LOOK_AT, limit: PAID_KEPT };
      const paid = await within(paidBy(sql, tenant, [...customers], bounds), DEADLINE_MS);
      // Not waited for: without it the next payment reads the table again.
      for (const [customer, payments] of paid)
        void history.remember(tenant, customer, payments).catch(() => {});
      return paid;
    } catch (error) {
      if (clock() >= this.awayUntil)
        log.warn({ error: String(error) }, 'what customers have paid cannot be read');
      this.awayUntil = clock() + OUTAGE_PAUSE_MS;
      return null;
    }
  }
}
