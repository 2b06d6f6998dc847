// Every coupon's terms, in this process: a check is a look-up in a map. Follows the change log of
// the documents, so that a change is seen within milliseconds, and within the poll interval when
// notifications are lost.
// Invariant: `asOf` is a time before which no committed change is missing.
import type { CouponTerms } from '../../schemas/coupons.ts';
import { type Clock, systemClock } from '../io/clock.ts';
import type { Sql } from '../io/postgres.ts';
import { type ChangedDocument, type Follower, followDocuments } from '../store/documents.ts';
import { CouponRows } from './coupon-rows.ts';
import type { CompiledTerms } from './coupon-terms.ts';

export const COUPON_KIND = 'coupons';

/** While everything is loaded at first, what it leaves behind is collected after so many coupons:
 * left alone, a million of them leave behind more than they take. */
const COLLECT_EVERY = 20_000;

export interface CouponTableOptions {
  pollMs?: number;
  clock?: Clock;
  onError?: (error: unknown) => void;
}

export class CouponTable {
  /** By tenant and code: the row of the code's terms. */
  private readonly tenants = new Map<number, Map<string, number>>();
  readonly rows = new CouponRows();
  private follower: Follower | undefined;
  private timer: Timer | undefined;
  /** Ms since the epoch, and the same as text, made once for many answers. */
  asOf = 0;
  asOfText = new Date(0).toISOString();

  /** Resolves when every coupon that exists has been loaded. */
  async follow(sql: Sql, options: CouponTableOptions = {}): Promise<void> {
    const { pollMs = 500, clock = systemClock, onError = () => {} } = options;
    const start = clock();
    let loading = true;
    let loaded = 0;
    // The polling is done here, where a round that found nothing new moves `asOf` too.
    this.follower = followDocuments(sql, COUPON_KIND, {
      onChanges: (changes) => {
        this.apply(changes);
        loaded += changes.length;
        if (!loading || loaded < COLLECT_EVERY) return;
        loaded = 0;
        Bun.gc(true);
      },
      pollMs: 60_000,
      onError,
    });
    await this.follower.ready;
    loading = false;
    this.seenUntil(start);
    this.timer = setInterval(() => void this.refresh(clock).catch(onError), pollMs);
  }

  /** Resolves when every change committed before the call is here. */
  async refresh(clock: Clock = systemClock): Promise<void> {
    const start = clock();
    await this.follower?.refresh();
    this.seenUntil(start);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.follower?.stop();
  }

  get(tenant: number, code: string): CompiledTerms | undefined {
    const row = this.tenants.get(tenant)?.get(code);
    return row === undefined ? undefined : this.rows.get(row);
  }

  get size(): number {
    let size = 0;
    for (const codes of this.tenants.values()) size += codes.size;
    return size;
  }

  apply(changes: readonly ChangedDocument[]): void {
    for (const { tenant, key, version, body } of changes) {
      let codes = this.tenants.get(tenant);
      if (!codes) {
        codes = new Map();
        this.tenants.set(tenant, codes);
      }
      const row = codes.get(key);
      // Our own write may be here before the change log brings it, or an older one.
      if (row !== undefined && this.rows.versionOf(row) >= version) continue;
      codes.set(key, this.rows.take(body as CouponTerms, version));
      if (row !== undefined) this.rows.release(row);
    }
  }

  private seenUntil(time: number): void {
    if (time <= this.asOf) return;
    this.asOf = time;
    this.asOfText = new Date(time).toISOString();
  }
}
