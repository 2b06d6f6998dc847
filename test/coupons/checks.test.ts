// What checks are answered from: the table follows the change log through a broken connection,
// usage follows other processes, and every check is counted once.
import { beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import type { CouponTerms } from '../../schemas/coupons.ts';
import { AppendRefused } from '../../src/stream/append.ts';
import { verdictOf } from '../../src/cache/coupon-check.ts';
import { CheckRecorder } from '../../src/cache/coupon-check-recorder.ts';
import { decodeEntry } from '../../src/stream/codec.ts';
import { putDocument, putDocuments } from '../../src/store/documents.ts';
import { openStack } from '../stack.ts';
import { ask, openDesk, putTerms, sweep } from './desk.ts';

setDefaultTimeout(60_000);
const stack = await openStack('coupon-checks');
const { id: tenant } = await stack.createTenant('checks');
const [desk, other] = [await openDesk(stack), await openDesk(stack)];

const fixed = (amount: number, limits?: CouponTerms['limits']): CouponTerms => ({
  kind: 'fixed',
  value: { amount, currency: 'USD' },
  ...(limits ? { limits } : {}),
});
/** The stated bounds are 0.5 s for terms and 0.1 s for usage; a busy machine adds to both. */
const BOUND_MS = 2_000;
const put = (code: string, terms: CouponTerms) =>
  putDocument(stack.sql, tenant, 'coupons', code, terms, 'test');

async function until(what: string, holds: () => boolean, withinMs = 10_000): Promise<number> {
  const start = performance.now();
  while (!holds()) {
    if (performance.now() - start > withinMs) throw new Error(`${what} did not come to hold`);
    await Bun.sleep(2);
  }
  return performance.now() - start;
}

beforeAll(async () => {
  await sweep(desk.redis, stack);
});

test('a change is in every process at once', async () => {
  await put('FAST', fixed(100));
  for (const { table } of [desk, other])
    expect(await until('the change', () => table.get(tenant, 'FAST') !== undefined)).toBeLessThan(
      400,
    );
});

test('a change made while every connection is being cut is not missed', async () => {
  let cuts = 0;
  const cut = async () => {
    const rows = await stack.owner`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and usename is not null
        and application_name = ${'test coupon-checks'} and pid <> pg_backend_pid()
        and query not like '%pg_terminate_backend%'`;
    cuts += rows.length;
  };
  const last = 40;
  for (let value = 1; value <= last; value++) {
    if (value % 10 === 5) await cut();
    for (let attempt = 0; ; attempt++) {
      try {
        await put('CUT', fixed(value));
        break;
      } catch (error) {
        if (attempt > 20) throw error;
        await Bun.sleep(20);
      }
    }
  }
  expect(cuts).toBeGreaterThan(4);
  await until('the last change', () => desk.table.get(tenant, 'CUT')?.value === last);
  await until('the last change', () => other.table.get(tenant, 'CUT')?.value === last);
});

test('as_of moves on while nothing changes', async () => {
  const before = desk.table.asOf;
  await until('as_of', () => desk.table.asOf > before);
  expect(Date.now() - desk.table.asOf).toBeLessThan(BOUND_MS);
});

test('thousands of codes made at once are all there, and equal terms are one row', async () => {
  const rows = desk.table.rows.size;
  const codes = Array.from({ length: 10_000 }, (_, n) => `BULK-${n}`);
  for (let first = 0; first < codes.length; first += 5_000) {
    const page = codes.slice(first, first + 5_000);
    const documents = page.map((key) => ({ key, body: fixed(250, { global: 1 }) }));
    await putDocuments(stack.sql, tenant, 'coupons', documents, 'test');
  }
  await desk.table.refresh();
  for (const code of codes)
    expect(desk.table.get(tenant, code)).toMatchObject({ value: 250, globalLimit: 1 });
  expect(desk.table.rows.size).toBe(rows + 1);
});

test('usage of another process is here within the stated bound', async () => {
  await putTerms(stack, [desk, other], tenant, 'SEEN', fixed(500, { global: 3, per_customer: 1 }));
  const order = (n: number) => ask('SEEN', { tenant, orderId: `o${n}`, customer: 'c_1' });
  await desk.usage.load(tenant, 'SEEN', null);
  await desk.usage.load(tenant, 'SEEN', 'c_1');
  expect(desk.usage.ofCode(tenant, 'SEEN')).toEqual({ uses: 0, budgetUsed: 0 });
  expect(desk.usage.ofCustomer(tenant, 'SEEN', 'c_1')).toBe(0);
  await other.book.reserve(order(1));
  const ms = await until('usage', () => desk.usage.ofCode(tenant, 'SEEN')!.uses === 1);
  expect(ms).toBeLessThan(BOUND_MS);
  await until('customer', () => desk.usage.ofCustomer(tenant, 'SEEN', 'c_1') === 1);
});

test('usage is read again after Redis was emptied', async () => {
  await desk.redis.flushall();
  await sweep(desk.redis, stack);
  await until('forgetting', () => desk.usage.ofCode(tenant, 'SEEN') === undefined);
  await desk.usage.load(tenant, 'SEEN', null);
  // No ledger runs here, so nothing was recorded of what was reserved.
  expect(desk.usage.ofCode(tenant, 'SEEN')).toEqual({ uses: 0, budgetUsed: 0 });
});

test('every check is counted once, whatever Redis says, and codes are bounded', async () => {
  const sent: Buffer[] = [];
  let away = true;
  const append = (_topic: string, _partition: number, tuple: Uint8Array): Promise<number> => {
    sent.push(Buffer.from(tuple));
    return away ? Promise.reject(new AppendRefused('redis_unavailable')) : Promise.resolve(1);
  };
  const recorder = new CheckRecorder({ append }, () => {}, 1e6);
  for (let n = 0; n < 700; n++) recorder.record(tenant, 'A', 500);
  for (let n = 0; n < 30; n++) recorder.record(tenant, null, verdictOf('not_found'));
  recorder.record(tenant, 'A', verdictOf('expired'));
  await recorder.flush();
  await recorder.flush();
  away = false;
  for (let n = 0; n < 12_000; n++) recorder.record(tenant, `B${n}`, 0);
  await recorder.stop();

  const byEvent = new Map(
    sent.flatMap((tuple) => decodeEntry(tuple)).map((event) => [event.id, event]),
  );
  const totals: Record<string, number> = {};
  for (const event of byEvent.values()) {
    const { checks } = (event as unknown as { data: { checks: Check[] } }).data;
    for (const { code, result, count } of checks) {
      const name = code.startsWith('B') ? 'B' : code;
      totals[`${name} ${result}`] = (totals[`${name} ${result}`] ?? 0) + count;
    }
  }
  expect(totals).toEqual({
    'A valid': 700,
    'A expired': 1,
    ':unknown not_found': 30,
    'B valid': 10_000,
    ':other valid': 2_000,
  });
  // Sent three times while Redis was away, under one id.
  expect(sent.length).toBeGreaterThan(byEvent.size);
});

interface Check {
  code: string;
  result: string;
  count: number;
}
