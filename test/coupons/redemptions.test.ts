// One redemption's way: the same order again, other contents, commit, release, time, and terms that
// change under it.
import { beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { CouponTerms } from '../../schemas/coupons.ts';
import { readUsage } from '../../src/cache/coupon-usage-read.ts';
import { streamKey } from '../../src/stream/topology.ts';
import { decodeEntry } from '../../src/stream/codec.ts';
import { partitionOfRedemption } from '../../src/cache/redemption-keys.ts';
import { CouponTable } from '../../src/cache/coupon-table.ts';
import type { CompiledTerms } from '../../src/cache/coupon-terms.ts';
import type { ReserveRequest } from '../../src/cache/redemption-attempt.ts';
import { RedemptionBook } from '../../src/cache/redemption-book.ts';
import { RedemptionScripts } from '../../src/cache/redemption-scripts.ts';
import { openStack } from '../stack.ts';
import { ask, openDesk, putTerms, sweep, won } from './desk.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('coupon-redemptions');
const { id: tenant } = await stack.createTenant('redemptions');
const [desk, late] = [await openDesk(stack), await openDesk(stack)];
const desks = [desk, late];

const fixed = (more: Partial<CouponTerms> = {}): CouponTerms => ({
  kind: 'fixed',
  value: { amount: 500, currency: 'USD' },
  limits: { global: 2 },
  ...more,
});
const usage = async (code: string) => (await readUsage(desk.redis, stack.sql, tenant, [code]))[0]!;
const reserve = (code: string, orderId: string, more: Partial<ReserveRequest> & object = {}) =>
  desk.book.reserve(ask(code, { tenant, orderId, ...more }));
const reserved = async (...args: Parameters<typeof reserve>) => {
  const result = await reserve(...args);
  if (!won(result)) throw new Error(`refused: ${result.refused}`);
  return result.redemption;
};
const settle = (id: string, as: 'committed' | 'released') => desk.book.settle(tenant, id, as, null);

/** Types of the events of one redemption, in the order of its stream. */
async function eventsOf(id: string): Promise<string[]> {
  const stream = streamKey('coupons', partitionOfRedemption(id));
  const entries = await desk.redis.xrangeBuffer(stream, '-', '+');
  return entries
    .flatMap(([, fields]) => decodeEntry(fields[5]!))
    .filter((event) => event.id.startsWith(id))
    .map(({ type }) => type);
}

beforeAll(async () => {
  await sweep(desk.redis, stack);
  for (const code of ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H']) {
    await putTerms(stack, desks, tenant, code, fixed());
  }
});

describe('the same order again', () => {
  test('gets its own reservation, and commits it when it asks to', async () => {
    const first = await reserved('A', 'o1');
    expect(first).toMatchObject({ status: 'reserved', offset: expect.any(Number) });
    expect(await reserved('A', 'o1')).toEqual(first);
    expect(await reserved('A', 'o1', { commit: true })).toMatchObject({
      id: first.id,
      status: 'committed',
    });
    expect(await reserved('A', 'o1')).toMatchObject({ id: first.id, status: 'committed' });
    expect(await usage('A')).toEqual({ reserved: 0, redeemed: 1, budgetUsed: 500 });
    expect(await eventsOf(first.id)).toEqual(['redemption.reserved', 'redemption.committed']);
  });

  test('keeps it when the terms no longer allow a new one', async () => {
    const first = await reserved('B', 'o1');
    await putTerms(stack, desks, tenant, 'B', fixed({ status: 'disabled' }));
    expect(await reserved('B', 'o1')).toEqual(first);
    expect(await reserve('B', 'o2')).toEqual({ refused: 'disabled', code: 'B' });
    expect(await settle(first.id, 'committed')).toMatchObject({
      redemption: { status: 'committed' },
    });
  });

  test('with other contents replaces it, and leaves one use held', async () => {
    await putTerms(stack, desks, tenant, 'C', fixed({ limits: { global: 1 } }));
    const first = await reserved('C', 'o1');
    const second = await reserved('C', 'o1', {
      ...ask('C', { tenant, orderId: 'o1', total: 300 }),
    });
    expect(second.id).not.toBe(first.id);
    expect(second.record.uses[0]!.discount).toBe(300);
    expect(await usage('C')).toEqual({ reserved: 1, redeemed: 0, budgetUsed: 300 });
    expect(await eventsOf(first.id)).toEqual(['redemption.reserved', 'redemption.released']);
  });

  test('of another customer is refused, and so is another redemption once committed', async () => {
    const first = await reserved('D', 'o1');
    expect(await reserve('D', 'o1', { customer: 'c_thief' })).toMatchObject({
      refused: 'reserved_elsewhere',
    });
    await settle(first.id, 'committed');
    const other = ask('D', { tenant, orderId: 'o1', total: 700 });
    expect(await desk.book.reserve(other)).toMatchObject({ refused: 'already_redeemed' });
  });
});

describe('a settled redemption', () => {
  test('stays as it is, however often it is settled the same way', async () => {
    const { id } = await reserved('E', 'o1');
    await settle(id, 'committed');
    await settle(id, 'committed');
    expect(await usage('E')).toEqual({ reserved: 0, redeemed: 1, budgetUsed: 500 });
    await settle(id, 'released');
    await settle(id, 'released');
    expect(await usage('E')).toEqual({ reserved: 0, redeemed: 0, budgetUsed: 0 });
    expect(await settle(id, 'committed')).toEqual({ refused: 'already_released' });
    expect(await eventsOf(id)).toEqual([
      'redemption.reserved',
      'redemption.committed',
      'redemption.released',
    ]);
  });

  test('that is committed and released at once ends released, its events in order', async () => {
    const held = await Promise.all(['o3', 'o4'].map((order) => reserved('E', order)));
    await Promise.all(
      held.flatMap(({ id }) => [
        settle(id, 'committed'),
        settle(id, 'released'),
        settle(id, 'committed'),
        settle(id, 'released'),
      ]),
    );
    expect(await usage('E')).toEqual({ reserved: 0, redeemed: 0, budgetUsed: 0 });
    for (const { id } of held) {
      expect(await desk.book.get(tenant, id)).toMatchObject({ status: 'released' });
      expect(await eventsOf(id)).toEqual([
        'redemption.reserved',
        'redemption.committed',
        'redemption.released',
      ]);
    }
  });

  test('of another tenant is not there', async () => {
    const { id } = await reserved('E', 'o2');
    expect(await desk.book.get(tenant + 1, id)).toBeNull();
    expect(await desk.book.settle(tenant + 1, id, 'released', null)).toEqual({ missing: true });
    expect(await desk.book.get(tenant, id)).toMatchObject({ status: 'reserved' });
  });
});

test('a reservation whose time is up is swept once, and its order may try again', async () => {
  const { id, record } = await reserved('F', 'o1', { ttlMs: 150 });
  await Bun.sleep(record.expiresAt - Date.now() + 20);
  expect(await settle(id, 'committed')).toEqual({ refused: 'expired' });
  const swept = await Promise.all([sweep(desk.redis, stack), sweep(late.redis, stack)]);
  expect(swept[0]! + swept[1]!).toBe(1);
  expect(await settle(id, 'committed')).toEqual({ refused: 'expired' });
  expect(await usage('F')).toEqual({ reserved: 0, redeemed: 0, budgetUsed: 0 });
  expect((await reserved('F', 'o1')).id).not.toBe(id);
});

/** A table to which the change log comes late: only when it is asked to catch up. */
class LateTable extends CouponTable {
  constructor(
    private table: Pick<CouponTable, 'get'>,
    private readonly current: CouponTable,
  ) {
    super();
  }

  override get(of: number, code: string): CompiledTerms | undefined {
    return this.table.get(of, code);
  }

  override async refresh(): Promise<void> {
    this.table = this.current;
  }
}

test('a process that has not heard of new terms does not decide by the old ones', async () => {
  const old = desk.table.get(tenant, 'G');
  expect(old).toMatchObject({ version: 1, value: 500 });
  await putTerms(stack, [desk], tenant, 'G', fixed({ value: { amount: 100, currency: 'USD' } }));
  const table = new LateTable({ get: () => old }, desk.table);
  const scripts = new RedemptionScripts(late.redis);
  const book = new RedemptionBook({ scripts, sql: stack.sql, table, usage: late.usage });
  expect(await book.reserve(ask('G', { tenant, orderId: 'o1' }))).toMatchObject({
    redemption: { record: { uses: [{ discount: 100, terms_version: 2 }] } },
  });
});

test('limits that change hold from then on', async () => {
  for (const order of ['o1', 'o2']) await reserved('H', order);
  expect(await reserve('H', 'o3')).toMatchObject({ refused: 'limit_reached' });
  await putTerms(stack, [desk], tenant, 'H', fixed({ limits: { global: 3 } }));
  await reserved('H', 'o3');
  await putTerms(stack, [desk], tenant, 'H', fixed({ limits: { global: 1 } }));
  expect(await reserve('H', 'o4')).toMatchObject({ refused: 'limit_reached' });
});

test('stacks apply in order, and nothing is held when one code is refused', async () => {
  const stackable = (amount: number): CouponTerms => ({
    ...fixed({ stackable: true, limits: { global: 9 } }),
    value: { amount, currency: 'USD' },
  });
  await putTerms(stack, [desk], tenant, 'FIRST', stackable(700));
  await putTerms(stack, [desk], tenant, 'SECOND', stackable(700));
  const both = { codes: ['FIRST', 'SECOND'] };
  const stacked = await desk.book.reserve(
    ask('', { tenant, orderId: 's1', total: 1_000, ...both }),
  );
  expect(stacked).toMatchObject({
    redemption: { record: { uses: [{ discount: 700 }, { discount: 300 }] } },
  });
  const alone = await desk.book.reserve(ask('', { tenant, orderId: 's2', codes: ['FIRST', 'A'] }));
  expect(alone).toEqual({ refused: 'not_stackable', code: 'A' });
  expect(await usage('FIRST')).toMatchObject({ reserved: 1 });
});
