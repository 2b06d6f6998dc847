// What is used of limited codes, in this process, for checks. Reservations announce in a sorted set
// which codes they changed; this process asks for changes every POLL_MS and reads again those it
// holds. A code or customer is read once, the first time it is asked for; after that a check makes
// no call. Only a reservation decides exactly.
// Invariant: while `asOf` moves, what is here is at most POLL_MS and one round trip old.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { numberArray, textArray } from '../store/columns.ts';
import { PARTITIONS, hashTag, partitionOf } from '../stream/topology.ts';
import type { CodeUsage } from './coupon-check.ts';
import { changesKey, couponKey, customersKey, lifeKey } from './redemption-keys.ts';
import { forgetBeyond } from './oldest.ts';
import { isNew, usageRows, valuesOf } from './coupon-usage-read.ts';

const POLL_MS = 100;
const CHANGES_KEPT = 20_000;
const HELD_MAX = 200_000;

interface Wanted {
  tenant: number;
  code: string;
  /** Null: the code's own usage. */
  customer: string | null;
}

export class CouponUsage {
  private readonly codes = new Map<string, CodeUsage>();
  private readonly customers = new Map<string, number>();
  private readonly seen = Array<number>(PARTITIONS).fill(0);
  private readonly waiting = new Map<string, Wanted>();
  private loading: Promise<void> | null = null;
  private timer: Timer | undefined;
  private polling = false;
  /** Ms since the epoch: every change before it is here. */
  asOf = 0;
  asOfText = new Date(0).toISOString();
  /** How far Redis's clock, which expires reservations, is ahead of ours. */
  clockSkewMs = 0;

  constructor(
    private readonly redis: Redis,
    private readonly sql: Sql,
    private readonly onError: (error: unknown) => void = () => {},
  ) {}

  async start(): Promise<void> {
    await this.poll();
    this.timer = setInterval(() => void this.poll().catch(this.onError), POLL_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Undefined: not held yet; `load` it. */
  ofCode(tenant: number, code: string): CodeUsage | undefined {
    return this.codes.get(`${tenant}:${code}`);
  }

  ofCustomer(tenant: number, code: string, customer: string): number | undefined {
    return this.customers.get(`${tenant}:${code} ${customer}`);
  }

  /** What a reservation of this process has just learned. */
  learn(tenant: number, code: string, usage: CodeUsage): void {
    const key = `${tenant}:${code}`;
    if (this.codes.has(key)) this.codes.set(key, usage);
  }

  /** Everything asked for in one turn of the loop is one round trip. */
  load(tenant: number, code: string, customer: string | null): Promise<void> {
    this.waiting.set(nameOf({ tenant, code, customer }), { tenant, code, customer });
    this.loading ??= new Promise<void>((resolve, reject) => {
      setImmediate(() => {
        const wanted = [...this.waiting.values()];
        this.waiting.clear();
        this.loading = null;
        this.read(wanted).then(resolve, reject);
      });
    });
    return this.loading;
  }

  async poll(): Promise<void> {
    if (this.polling) return;
    this.polling = true;
    try {
      const start = Date.now();
      const changed = await this.changes(start);
      if (changed.length > 0) await this.read(changed);
      this.asOf = start;
      this.asOfText = new Date(start).toISOString();
    } finally {
      this.polling = false;
    }
  }

  private async changes(start: number): Promise<Wanted[]> {
    const pipeline = this.redis.pipeline();
    pipeline.time();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      pipeline.get(`${hashTag(partition)}:coupons:changed`);
      pipeline.zrangebyscore(changesKey(partition), `(${this.seen[partition]}`, '+inf');
    }
    const replies = valuesOf(await pipeline.exec());
    const [seconds, micros] = replies[0] as [string, string];
    const now = Date.now();
    this.clockSkewMs = Number(seconds) * 1_000 + Number(micros) / 1_000 - (start + now) / 2;
    const names: string[] = [];
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const counter = Number(replies[1 + partition * 2] ?? 0);
      const missed = counter - this.seen[partition]!;
      // Redis began anew, or more has changed than the set keeps: nothing held can be trusted.
      if (missed < 0 || missed > CHANGES_KEPT / 2) this.forget(partition);
      else names.push(...(replies[2 + partition * 2] as string[]));
      this.seen[partition] = counter;
    }
    return names.flatMap((name) => this.heldBy(name) ?? []);
  }

  /** A member is a coupon's key, or that and a customer: `{p03}:coupon:1:SPRING c_1`. */
  private heldBy(member: string): Wanted | null {
    const name = member.slice(member.indexOf(':coupon:') + ':coupon:'.length);
    const space = name.indexOf(' ');
    const held = space < 0 ? this.codes.has(name) : this.customers.has(name);
    if (!held) return null;
    const colon = name.indexOf(':');
    const tenant = Number(name.slice(0, colon));
    if (space < 0) return { tenant, code: name.slice(colon + 1), customer: null };
    return { tenant, code: name.slice(colon + 1, space), customer: name.slice(space + 1) };
  }

  private forget(partition: number): void {
    for (const held of [this.codes, this.customers])
      for (const name of held.keys()) {
        const [tenant, code] = splitName(name);
        if (partitionOf(tenant, code) === partition) held.delete(name);
      }
  }

  private async read(wanted: readonly Wanted[]): Promise<void> {
    const pipeline = this.redis.pipeline();
    for (const { tenant, code, customer } of wanted) {
      pipeline.get(lifeKey(partitionOf(tenant, code)));
      pipeline.hmget(couponKey(tenant, code), 'reserved', 'redeemed', 'budget_used', 'counted');
      if (customer === null) pipeline.echo('');
      else pipeline.hget(customersKey(tenant, code), customer);
    }
    const replies = valuesOf(await pipeline.exec());
    const unknown: Wanted[] = [];
    wanted.forEach((item, index) => {
      const life = replies[index * 3] as string | null;
      const counters = replies[index * 3 + 1] as (string | null)[];
      const uses = replies[index * 3 + 2] as string | null;
      if (!this.take(item, life, counters, uses)) unknown.push(item);
    });
    if (unknown.length > 0) await this.readRows(unknown);
  }

  /** False where only the rows in Postgres know. */
  private take(
    item: Wanted,
    life: string | null,
    [reserved, redeemed, budgetUsed, counted]: (string | null)[],
    uses: string | null,
  ): boolean {
    const fresh = reserved === null && isNew(life);
    if (item.customer !== null) {
      if (uses === null && !fresh && counted !== 'all') return false;
      hold(this.customers, nameOf(item), Number(uses ?? 0));
      return true;
    }
    if (reserved === null && !fresh) return false;
    hold(this.codes, nameOf(item), {
      uses: Number(reserved ?? 0) + Number(redeemed ?? 0),
      budgetUsed: Number(budgetUsed ?? 0),
    });
    return true;
  }

  private async readRows(wanted: readonly Wanted[]): Promise<void> {
    const codes = wanted.filter(({ customer }) => customer === null);
    const rows = codes.length > 0 ? await usageRows(this.sql, codes) : [];
    codes.forEach((item, index) => {
      const { reserved, redeemed, budgetUsed } = rows[index]!;
      hold(this.codes, nameOf(item), { uses: reserved + redeemed, budgetUsed });
    });
    const customers = wanted.filter(({ customer }) => customer !== null);
    if (customers.length === 0) return;
    // One statement: a request may name a thousand customers.
    const counts = await this.sql<{ uses: string }[]>`
      select coupon_customer_uses(w.tenant, w.code, w.customer) as uses
      from unnest(${numberArray(customers.map(({ tenant }) => tenant))}::text::int[],
        ${textArray(customers.map(({ code }) => code))}::text::text[],
        ${textArray(customers.map(({ customer }) => customer!))}::text::text[])
        with ordinality w (tenant, code, customer, place)
      order by w.place`;
    customers.forEach((item, index) => {
      hold(this.customers, nameOf(item), Number(counts[index]!.uses));
    });
  }
}

function nameOf({ tenant, code, customer }: Wanted): string {
  return customer === null ? `${tenant}:${code}` : `${tenant}:${code} ${customer}`;
}

function splitName(name: string): [number, string] {
  const colon = name.indexOf(':');
  const space = name.indexOf(' ');
  return [Number(name.slice(0, colon)), name.slice(colon + 1, space < 0 ? undefined : space)];
}

/** Bounded: the oldest goes, and is read again when it is asked for. */
function hold<V>(held: Map<string, V>, name: string, value: V): void {
  held.set(name, value);
  forgetBeyond(HELD_MAX, held);
}
