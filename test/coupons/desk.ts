// A coupon desk for tests: the parts of one ingress process on its own connections, against a real
// Redis and Postgres, without HTTP. Several of them behave like several processes.
import { afterAll } from 'bun:test';
import { type Coupons, openCoupons } from '../../src/cache/coupons.ts';
import { COUPON_KIND } from '../../src/cache/coupon-table.ts';
import type { ReserveRequest } from '../../src/cache/redemption-attempt.ts';
import type { Reserved } from '../../src/cache/redemption-book.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { putDocument } from '../../src/store/documents.ts';
import { Appender } from '../../src/stream/append.ts';
import type { CouponTerms } from '../../schemas/coupons.ts';
import type { Stack } from '../stack.ts';

export interface Desk extends Coupons {
  appender: Appender;
}

export async function openDesk({ redisUrl, sql }: Stack): Promise<Desk> {
  const redis = producerClient(redisUrl, 'desk');
  await redisReady(redis);
  const appender = new Appender(redis, { bytesWaitingMax: 1e8, entryEventsMax: 1_000 });
  const coupons = await openCoupons({ redis, sql, appender });
  afterAll(async () => {
    await coupons.close();
    redis.disconnect();
  });
  return { ...coupons, appender };
}

/** Stores terms and lets the desks hear of them, as PUT does. */
export async function putTerms(
  { sql }: Stack,
  desks: readonly Desk[],
  tenant: number,
  code: string,
  terms: CouponTerms,
): Promise<number> {
  const { version } = await putDocument(sql, tenant, COUPON_KIND, code, terms, 'test');
  await desks[0]!.book.adopt(tenant, code, version);
  await Promise.all(desks.map(({ table }) => table.refresh()));
  return version;
}

export { sweep } from './sweep.ts';

export function ask(
  code: string,
  of: Partial<ReserveRequest> & { tenant: number; orderId: string; total?: number },
): ReserveRequest {
  const { orderId, total = 5_000, ...rest } = of;
  return {
    codes: [code],
    customer: `c_${orderId}`,
    segments: undefined,
    order: { id: orderId, total: { amount: total, currency: 'USD' } },
    ttlMs: 60_000,
    commit: false,
    traceparent: null,
    ...rest,
  };
}

export function won(result: Reserved): result is Extract<Reserved, { redemption: unknown }> {
  return 'redemption' in result;
}

/** How often each refusal was given. */
export function refusals(results: readonly Reserved[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const result of results)
    if (!won(result)) counts[result.refused] = (counts[result.refused] ?? 0) + 1;
  return counts;
}
