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

export class CheckRecorder {
  /** Per tenant and code: checks by result; 0 is valid, then the reasons in their order. */
  private counts = new Map<number, Map<string, Uint32Array>>();
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
    let codes = this.counts.get(tenant);
    if (!codes) this.counts.set(tenant, (codes = new Map()));
    const name = code ?? UNKNOWN;
    let results = codes.get(name);
    if (!results) {
      const counted = codes.size < CODES_MAX ? name : OTHER;
      results = codes.get(counted) ?? new Uint32Array(1 + refusalReasons.length);
      codes.set(counted, results);
    }
    results[verdict < 0 ? -verdict : 0]!++;
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
    if (this.counts.size > 0 && this.waiting.length < EVENTS_WAITING_MAX) this.encode();
    const failed: Waiting[] = [];
    await Promise.all(
      this.waiting.map(async (event) => {
        try {
          await this.appender.append('coupons', event.partition, event.tuple);
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
    const counts = this.counts;
    this.counts = new Map();
    for (const [tenant, codes] of counts) {
      const checks = [...codes].flatMap(([code, results]) => checksOf(code, results));
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

function checksOf(code: string, results: Uint32Array) {
  const checks: { code: string; result: string; count: number }[] = [];
  results.forEach((count, index) => {
    if (count > 0) checks.push({ code, result: refusalOf(-index) ?? 'valid', count });
  });
  return checks;
}
