// Counts checks by tenant, code and result, and sends the counts as one event a second, so that
// every check is recorded without a stream entry for each.
// Invariant: a count is sent until Redis has said that it has it, always under the same event id,
// so that it enters the ledger once. Only a process that dies loses what it counted last.
import { CouponChecked } from '../../schemas/coupons-events.ts';
import { refusalReasons } from '../../schemas/coupons.ts';
import type { Appender } from '../stream/append.ts';
import { encodeEvent } from '../stream/codec.ts';
import { partitionOf } from '../stream/topology.ts';
import { type Verdict, refusalOf } from './coupon-check.ts';

const FLUSH_MS = 1_000;
const EVENT_CHECKS_MAX = 500;
/** Distinct codes counted by themselves between two flushes; more are counted as `:other`. */
const CODES_MAX = 10_000;
/** Events waiting for Redis at most; while that many wait, counts go on growing in memory. */
const EVENTS_WAITING_MAX = 200;

/** A code has no colon, so these are nobody's. */
const UNKNOWN = ':unknown';
const OTHER = ':other';

interface Waiting {
  partition: number;
  tuple: Buffer;
}

/** 0 is valid, then the reasons in their order. */
const RESULTS = 1 + refusalReasons.length;

/** Checks by code and result, in one array: an array for each code would be ten thousand a second,
 * each known to the collector. */
class Tally {
  private readonly places = new Map<string, number>();
  private counts = new Uint32Array(64 * RESULTS);

  add(code: string, result: number): void {
    const place = this.places.get(code) ?? this.placeFor(code);
    this.counts[place + result]!++;
  }

  checks(): { code: string; result: string; count: number }[] {
    const checks: { code: string; result: string; count: number }[] = [];
    for (const [code, place] of this.places)
      for (let result = 0; result < RESULTS; result++) {
        const count = this.counts[place + result]!;
        if (count > 0) checks.push({ code, result: refusalOf(-result) ?? 'valid', count });
      }
    return checks;
  }

  private placeFor(code: string): number {
    if (this.places.size >= CODES_MAX && code !== OTHER)
      return this.places.get(OTHER) ?? this.placeFor(OTHER);
    const place = this.places.size * RESULTS;
    this.places.set(code, place);
    if (place >= this.counts.length) {
      const larger = new Uint32Array(this.counts.length * 2);
      larger.set(this.counts);
      this.counts = larger;
    }
    return place;
  }
}

export class CheckRecorder {
  private tallies = new Map<number, Tally>();
  private waiting: Waiting[] = [];
  private readonly timer: Timer;
  private flushing: Promise<void> | null = null;

  constructor(
    private readonly appender: Pick<Appender, 'append'>,
    private readonly onError: (error: unknown) => void = () => {},
    flushMs = FLUSH_MS,
  ) {
    this.timer = setInterval(() => void this.flush(), flushMs);
  }

  /** `code` is one that exists; null counts among the unknown. */
  record(tenant: number, code: string | null, verdict: Verdict): void {
    let tally = this.tallies.get(tenant);
    if (!tally) this.tallies.set(tenant, (tally = new Tally()));
    tally.add(code ?? UNKNOWN, verdict < 0 ? -verdict : 0);
  }

  /** Never rejects: what could not be sent waits for the next flush. */
  flush(): Promise<void> {
    this.flushing ??= this.send().finally(() => {
      this.flushing = null;
    });
    return this.flushing;
  }

  /** Sends what is left, if Redis is there. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.flush();
    await this.flush();
  }

  private async send(): Promise<void> {
    if (this.tallies.size > 0 && this.waiting.length < EVENTS_WAITING_MAX) this.encode();
    const failed: Waiting[] = [];
    await Promise.all(
      this.waiting.map(async (event) => {
        try {
          await this.appender.append('events', event.partition, event.tuple);
        } catch (error) {
          failed.push(event);
          this.onError(error);
        }
      }),
    );
    this.waiting = failed;
  }

  private encode(): void {
    const now = Date.now();
    const minute = new Date(now - (now % 60_000)).toISOString();
    const tallies = this.tallies;
    this.tallies = new Map();
    for (const [tenant, tally] of tallies) {
      const checks = tally.checks();
      for (let first = 0; first < checks.length; first += EVENT_CHECKS_MAX) {
        const data = { minute, checks: checks.slice(first, first + EVENT_CHECKS_MAX) };
        const id = `evt_${Bun.randomUUIDv7()}`;
        const tuple = encodeEvent(CouponChecked, { tenant, id, acceptedAt: now, data });
        const partition = partitionOf(tenant, CouponChecked.orderKey(data as never));
        this.waiting.push({ partition, tuple });
      }
    }
  }
}
