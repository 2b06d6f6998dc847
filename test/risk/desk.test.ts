// The desk on a real Redis and Postgres: counts exact under races and sliding, a payment counted
// once, the past of a customer made anew from the table, and what happens without either store.
import { afterAll, describe, expect, test } from 'bun:test';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { connectPostgres } from '../../src/io/postgres.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { COUNT_MAX } from '../../schemas/risk.ts';
import { Counts, type Subjects } from '../../src/risk/counts.ts';
import { type RiskDesk, openRiskDesk } from '../../src/risk/desk.ts';
import { PaidHistory, paidKey, paidWatcher } from '../../src/risk/history.ts';
import { Past } from '../../src/risk/past.ts';
import { hashOf, paidBy, saltOf } from '../../src/store/risk.ts';
import { putListEntry } from '../../src/store/risk-lists.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('risk_desk');
const { id: tenant } = await stack.createTenant('risk_desk');
const [redis, other] = [client('one'), client('other')];
await Promise.all([redisReady(redis), redisReady(other)]);
const log = createLog('risk', 'silent');
const desk = await openRiskDesk({ redis, sql: stack.sql, metrics: new Metrics(), log });
const second = await openRiskDesk({ redis: other, sql: stack.sql, metrics: new Metrics(), log });
afterAll(async () => {
  await Promise.all([desk.stop(), second.stop()]);
  redis.disconnect();
  other.disconnect();
});

function client(name: string) {
  return producerClient(stack.redisUrl, `risk ${name}`);
}

const newId = (): string => `pay_${Bun.randomUUIDv7()}`;
const request = (customer: string, more: object = {}) => ({
  amount: { amount: 1_000, currency: 'USD' },
  customer_id: customer,
  method: { type: 'card' as const, token: `tok_${customer}` },
  ...more,
});

async function judge(customer: string, more: object = {}, id = newId(), at: RiskDesk = desk) {
  const { ip = '198.51.100.1', ...body } = more as { ip?: string };
  return await at.assess(tenant, id, { body: request(customer, body), ip });
}

describe('counts', () => {
  test('every one of many at once, from two processes, has a number of its own', async () => {
    const judged = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        judge('racer', { ip: '198.51.100.2' }, newId(), n % 2 ? desk : second),
      ),
    );
    const numbers = (name: 'user_1m' | 'ip_24h' | 'token_1h') =>
      judged.map(({ signals }) => signals![name]!).toSorted((a, b) => a - b);
    const all = Array.from({ length: 200 }, (_, n) => n + 1);
    expect(numbers('user_1m')).toEqual(all);
    expect(numbers('ip_24h')).toEqual(all);
    expect(numbers('token_1h')).toEqual(all);
  });

  test('a payment that is asked about again counts once, and is told the same', async () => {
    const id = newId();
    await judge('again');
    const first = await judge('again', {}, id);
    await judge('again');
    expect((await judge('again', {}, id, second)).signals).toEqual(first.signals!);
    expect((await judge('again')).signals).toMatchObject({ user_1m: 4, user_24h: 4 });
  });

  test('a payment that the ledger has is judged as it was, whatever holds by now', async () => {
    const id = newId();
    const first = await judge('settled', { device_id: 'd_later' }, id);
    const { score, decision, version } = first;
    const row = { payment_id: id, tenant_id: tenant, decided_at: new Date(), body: first };
    const rows = JSON.stringify([{ ...row, score, decision, version }]);
    await stack.owner`select risk_decisions_write(${rows}::text::jsonb)`;
    const entry = { list: 'deny', subject: 'device', value: 'd_later', reason: 'x' } as const;
    await putListEntry(stack.sql, tenant, entry, 'test');
    await desk.refresh();
    expect(await judge('settled', { device_id: 'd_later' }, id)).toEqual(first);
    expect(await judge('settled', { device_id: 'd_later' })).toMatchObject({ decision: 'block' });
  });

  test('customers, tokens and devices are seen together', async () => {
    const token = { method: { type: 'card', token: 'tok_shared' }, device_id: 'd_shared' };
    for (const customer of ['p_1', 'p_2', 'p_1']) await judge(customer, token);
    const { signals } = await judge('p_3', token);
    expect(signals).toMatchObject({ token_users_24h: 3, device_users_24h: 3, device_1h: 4 });
    const many = await judge('p_1', { method: { type: 'card', token: 'tok_other' } });
    expect(many.signals).toMatchObject({ user_tokens_24h: 2, user_24h: 3 });
    expect(many.signals!.device_1h).toBeUndefined();
  });

  test('tenants are apart', async () => {
    await judge('of_mine');
    const { id } = await stack.createTenant('risk_other');
    const { signals } = await desk.assess(id, newId(), {
      body: request('of_mine'),
      ip: '198.51.100.1',
    });
    expect(signals).toMatchObject({ user_24h: 1, ip_24h: 1, token_24h: 1 });
  });

  const counts = new Counts(redis);
  const subjects: Subjects = { user: 'u'.repeat(22), ip: null, device: null, token: 't' };
  const key = `{risk:${tenant}}:count:user:${subjects.user}`;
  const taken = async (paymentId = newId()) =>
    (await counts.take({ tenant, paymentId, customer: 'slider', subjects })).signals;

  test('windows slide: what is a minute, an hour, a day old is out', async () => {
    await redis.del(key);
    const nowUs = Date.now() * 1_000;
    const before = (seconds: number): number => nowUs - seconds * 1e6;
    const ages = [30, 90, 3_500, 3_700, 86_300, 86_500];
    await redis.zadd(key, ...ages.flatMap((age) => [String(before(age)), `aged ${age}`]));
    expect(await taken()).toMatchObject({ user_1m: 2, user_1h: 4, user_24h: 6 });
    expect(await redis.zscore(key, 'aged 86500')).toBeNull();
  });

  test('a set holds no more than counts go to, and every key expires', async () => {
    await redis.del(key);
    const soon = Date.now() * 1_000;
    const many = Array.from({ length: COUNT_MAX + 150 }, (_, n) => [
      String(soon - n - 1),
      `old ${n}`,
    ]);
    await redis.zadd(key, ...many.flat());
    expect(await taken()).toMatchObject({ user_1m: COUNT_MAX, user_24h: COUNT_MAX });
    expect(await redis.zcard(key)).toBeLessThanOrEqual(COUNT_MAX * 1.1);
    const keys = await redis.keys('{risk:*');
    expect(keys.length).toBeGreaterThan(10);
    for (const each of keys) expect([each, await redis.pttl(each)]).not.toEqual([each, -1]);
  });
});

/** As the payment's rule writes it. */
async function pay(customer: string, amount: number, more: object = {}): Promise<string> {
  const id = newId();
  const body = {
    ...{ status: 'captured', customer_id: customer, currency: 'USD', amount },
    ...{ initiated_at: new Date().toISOString(), risk: {}, updated_ms: Date.now() },
    ...more,
  };
  await stack.owner`
    select payments_write(${JSON.stringify([{ tenant_id: tenant, key: id, body }])}::text::jsonb)`;
  await paidWatcher(redis).changed([{ tenant, table: 'payments', key: id, body, changed: true }]);
  return id;
}

const members = async (customer: string): Promise<string[]> =>
  (await redis.zrange(paidKey(tenant, customer), 0, '-1')).toSorted();

describe('what a customer has paid', () => {
  test('is read once from the table, then follows what is paid and taken back', async () => {
    for (const amount of [900, 1_000, 1_100, 1_000]) await pay('loyal', amount);
    await pay('loyal', 99_999, { status: 'failed' });
    const cold = await judge('loyal', { amount: { amount: 9_000, currency: 'USD' } });
    expect(cold.signals).toMatchObject({ history_known: 1, paid_count: 4 });
    expect(cold.signals!.amount_to_mean).toBeUndefined();
    await eventually('it is remembered', async () => (await members('loyal')).includes('!'));
    const disputed = await pay('loyal', 1_000);
    const warm = await judge('loyal', { amount: { amount: 9_000, currency: 'USD' } });
    expect(warm.signals).toMatchObject({ paid_count: 5, amount_to_mean: 9 });
    expect(warm.reasons!.map(({ rule }) => rule)).toContain('unusual_amount');
    const body = { status: 'disputed', customer_id: 'loyal', currency: 'USD', amount: 1_000 };
    const slot = { tenant, table: 'payments', key: disputed, changed: true };
    const row = { ...body, initiated_at: new Date().toISOString(), risk: {} };
    await paidWatcher(redis).changed([{ ...slot, body: row }]);
    expect((await judge('loyal')).signals).toMatchObject({ paid_count: 4 });
  });

  test('what is kept is what the table says, after repetitions too, 50 at most', async () => {
    await judge('regular');
    await eventually('it is remembered', async () => (await members('regular')).includes('!'));
    for (let n = 0; n < 60; n++) await pay('regular', 1_000 + n);
    const followed = await members('regular');
    expect(followed).toHaveLength(52);
    const history = new PaidHistory(redis);
    const bounds = { lookAt: 200, limit: 50 };
    const table = (await paidBy(stack.sql, tenant, ['regular'], bounds)).get('regular')!;
    await history.remember(tenant, 'regular', table);
    expect(await members('regular')).toEqual(followed);
    await redis.del(paidKey(tenant, 'regular'));
    expect((await judge('regular')).signals).toMatchObject({ paid_count: 50 });
    await eventually('made anew', async () => (await members('regular')).length === 52);
    expect(await members('regular')).toEqual(followed);
  });

  test('a payment that is paid while the table is read is not missed', async () => {
    await new Counts(redis).take({
      ...{ tenant, paymentId: newId(), customer: 'busy' },
      subjects: { user: 'b'.repeat(22), ip: null, device: null, token: 'b'.repeat(22) },
    });
    // Read before the payment, remembered after it.
    await pay('busy', 500);
    await new PaidHistory(redis).remember(tenant, 'busy', []);
    expect((await judge('busy')).signals).toMatchObject({ paid_count: 1 });
  });

  test('devices and tokens that paid are known, others are new', async () => {
    const salt = await saltOf(stack.sql, tenant);
    const device = hashOf(salt, 'device', 'd_home');
    await pay('homely', 1_000, { risk: { device, token: hashOf(salt, 'token', 'tok_homely') } });
    const home = await judge('homely', { device_id: 'd_home' });
    expect(home.signals).toMatchObject({ device_new: 0, token_new: 0 });
    const away = await judge('homely', {
      ...{ device_id: 'd_away', method: { type: 'upi', token: 'someone@upi' } },
    });
    expect(away.signals).toMatchObject({ device_new: 1, token_new: 1 });
    expect(away.reasons!.map(({ rule }) => rule)).toEqual(['new_device', 'new_token']);
  });
});

test('lists hold from when they are put to when they expire', async () => {
  const entry = { list: 'deny', subject: 'device', value: 'd_bad', reason: 'x' } as const;
  const soon = new Date(Date.now() + 1_500).toISOString();
  await putListEntry(stack.sql, tenant, { ...entry, expires_at: soon }, 'test');
  await desk.refresh();
  const bad = { device_id: 'd_bad' };
  expect(await judge('listed', bad)).toMatchObject({ decision: 'block', score: 1_000 });
  expect(await judge('listed', { device_id: 'd_good' })).toMatchObject({ decision: 'allow' });
  await eventually('it has expired', async () => (await judge('x', bad)).decision === 'allow');
});

test('nothing that Redis or the assessment holds names an address or a token', async () => {
  const secret = { method: { type: 'card', token: 'tok_Zq8Kd' }, ip: '203.0.113.77' };
  const assessment = await judge('private', { ...secret, device_id: 'dev_Zq8Kd' });
  const held = await Promise.all(
    (await redis.keys('*')).map(async (key) => [
      key,
      key.startsWith('{risk:') ? await redis.zrange(key, 0, '-1') : [],
    ]),
  );
  for (const text of [JSON.stringify(assessment), JSON.stringify(held)]) {
    expect(text).not.toContain('Zq8Kd');
    expect(text).not.toContain('203.0.113.77');
  }
});

test('without Postgres the past is unknown, and nobody waits for it', async () => {
  const gone = connectPostgres('postgres://nobody@127.0.0.1:9/none', { max: 1, name: 'gone' });
  const past = new Past({ sql: gone, history: new PaidHistory(redis), clock: Date.now, log });
  expect(await past.of(tenant, 'anybody')).toBeNull();
  expect(await past.of(tenant, 'anybody')).toBeNull();
  await gone.end({ timeout: 1 });
});

test('without Redis nothing is judged', async () => {
  const lost = client('lost');
  await redisReady(lost);
  const unable = await openRiskDesk({ redis: lost, sql: stack.sql, metrics: new Metrics(), log });
  lost.disconnect();
  await expect(judge('anybody', {}, newId(), unable)).rejects.toThrow();
  await unable.stop();
});
