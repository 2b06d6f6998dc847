// Every coupon's terms, in this process: a check is a look-up in a map. Follows the change log of
// the documents, so that a change is seen within milliseconds, and within the poll interval when
// notifications are lost.
// Invariant: `asOf` is a time before which no committed change is missing.
import type { CouponTerms } from '../../schemas/coupons.ts';
import { type Clock, systemClock } from '../io/clock.ts';
import type { Sql } from '../io/postgres.ts';
import { type ChangedDocument, type Follower, followDocuments } from '../store/documents.ts';
import { type CompiledTerms, compileTerms } from './coupon-terms.ts';

export const COUPON_KIND = 'coupons';

/** Codes made in bulk have equal terms; those remembered here become one object. */
const INTERNED_MAX = 4_096;

export interface CouponTableOptions {
  pollMs?: number;
  clock?: Clock;
  onError?: (error: unknown) => void;
}

export class CouponTable {
  private readonly tenants = new Map<number, Map<string, CompiledTerms>>();
  private readonly interned = new Map<string, CompiledTerms>();
  private follower: Follower | undefined;
  private timer: Timer | undefined;
  /** Ms since the epoch, and the same as text, made once for many answers. */
  asOf = 0;
  asOfText = new Date(0).toISOString();

  /** Resolves when every coupon that exists has been loaded. */
  async follow(sql: Sql, options: CouponTableOptions = {}): Promise<void> {
    const { pollMs = 500, clock = systemClock, onError = () => {} } = options;
    const start = clock();
    // The polling is done here, where a round that found nothing new moves `asOf` too.
    this.follower = followDocuments(sql, COUPON_KIND, {
      onChanges: (changes) => this.apply(changes),
      pollMs: 60_000,
      onError,
    });
    await this.follower.ready;
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
    return this.tenants.get(tenant)?.get(code);
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
      // Our own write may be here before the change log brings it, or an older one.
      if ((codes.get(key)?.version ?? 0) < version)
        codes.set(key, this.compiled(body as CouponTerms, version));
    }
  }

  private compiled(terms: CouponTerms, version: number): CompiledTerms {
    const { metadata: _unused, ...checked } = terms;
    const text = `${version} ${JSON.stringify(checked)}`;
    let compiled = this.interned.get(text);
    if (!compiled) {
      compiled = compileTerms(terms, version);
      if (this.interned.size >= INTERNED_MAX) this.interned.clear();
      this.interned.set(text, compiled);
    }
    return compiled;
  }

  private seenUntil(time: number): void {
    if (time <= this.asOf) return;
    this.asOf = time;
    this.asOfText = new Date(time).toISOString();
  }
}
