// The parts of the coupon domain that an ingress process holds, opened and closed together.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import type { Appender } from '../stream/append.ts';
import { CheckRecorder } from './coupon-check-recorder.ts';
import { CouponTable } from './coupon-table.ts';
import { CouponUsage } from './coupon-usage.ts';
import { RedemptionBook } from './redemption-book.ts';
import { RedemptionScripts } from './redemption-scripts.ts';

const ERRORS_EVERY_MS = 10_000;

export interface Coupons {
  redis: Redis;
  /** For what must outlive Redis: it may wait for replicas. */
  writer: Redis;
  sql: Sql;
  table: CouponTable;
  usage: CouponUsage;
  book: RedemptionBook;
  recorder: CheckRecorder;
  /** Sends the last counts and stops following; call it before the appender is drained. */
  close(): Promise<void>;
}

export interface CouponOptions {
  redis: Redis;
  /** `redis` itself unless given. */
  writer?: Redis;
  sql: Sql;
  appender: Appender;
  onError?: (error: unknown) => void;
}

/** A store that is away fails several times a second; saying so now and then is enough. */
function sparing(report: (error: unknown) => void): (error: unknown) => void {
  let quietUntil = 0;
  return (error) => {
    if (Date.now() < quietUntil) return;
    quietUntil = Date.now() + ERRORS_EVERY_MS;
    report(error);
  };
}

/** Resolves when every coupon is in this process. */
export async function openCoupons(options: CouponOptions): Promise<Coupons> {
  const { redis, writer = redis, sql, appender } = options;
  const onError = sparing(options.onError ?? (() => {}));
  const table = new CouponTable();
  const usage = new CouponUsage(redis, sql, onError);
  const scripts = new RedemptionScripts(writer);
  await Promise.all([table.follow(sql, { onError }), usage.start()]);
  const recorder = new CheckRecorder(appender, onError);
  return {
    redis,
    writer,
    sql,
    table,
    usage,
    recorder,
    book: new RedemptionBook({ scripts, sql, table, usage }),
    async close() {
      usage.stop();
      await Promise.all([recorder.stop(), table.stop()]);
    },
  };
}
