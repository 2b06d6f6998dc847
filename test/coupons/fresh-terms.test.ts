// A desk that has not heard of a change yet refuses nobody by what it knows: a refusal is kept
// under the order's idempotency key for a day. Found by the fault suite (seed 43).
import { afterAll, expect, test } from 'bun:test';
import { COUPON_KIND } from '../../src/cache/coupon-table.ts';
import { connectPostgres } from '../../src/io/postgres.ts';
import { putDocument } from '../../src/store/documents.ts';
import { Dice } from '../faults/dice.ts';
import { Proxy } from '../faults/proxy.ts';
import { openStack } from '../stack.ts';
import { ask, openDesk, sweep, won } from './desk.ts';

const stack = await openStack('fresh_terms');
const { id: tenant } = await stack.createTenant('fresh');
const { hostname: host, port } = new URL(stack.databaseUrl);
const proxy = await Proxy.open({ host, port: Number(port) }, new Dice(1));
const sql = connectPostgres(proxy.inFrontOf(stack.databaseUrl), { max: 2, name: 'slow desk' });
const desk = await openDesk({ ...stack, sql });
await sweep(desk.redis, stack);
afterAll(async () => {
  await sql.end({ timeout: 1 });
  proxy.close();
});

const terms = (status: 'active' | 'disabled') =>
  ({ kind: 'fixed', value: { amount: 500, currency: 'USD' }, status }) as const;
const put = (status: 'active' | 'disabled') =>
  putDocument(stack.sql, tenant, COUPON_KIND, 'NEW', terms(status), 'test');

test('a code that was made elsewhere a moment ago is taken', async () => {
  // News of changes come late; a question asked now is answered late, and truly.
  const heal = proxy.put({ kind: 'latency', direction: 'down', delayMs: 300, jitterMs: 0 });
  await put('active');
  expect(desk.table.get(tenant, 'NEW')).toBeUndefined();
  expect(won(await desk.book.reserve(ask('NEW', { tenant, orderId: 'o_1' })))).toBe(true);
  await put('disabled');
  await desk.table.refresh();
  await put('active');
  expect(won(await desk.book.reserve(ask('NEW', { tenant, orderId: 'o_2' })))).toBe(true);
  await put('disabled');
  await desk.table.refresh();
  const refused = await desk.book.reserve(ask('NEW', { tenant, orderId: 'o_3' }));
  expect(refused).toEqual({ refused: 'disabled', code: 'NEW' });
  heal();
}, 30_000);

test('while the newest terms cannot be had, nobody is refused for good', async () => {
  const heal = proxy.put({ kind: 'stall', direction: 'down' });
  const asked = desk.book.reserve(ask('NEW', { tenant, orderId: 'o_4' }));
  const outcome = await asked.catch((error: unknown) => String(error));
  expect(outcome).toContain('no answer within');
  heal();
}, 30_000);
