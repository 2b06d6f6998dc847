// Token buckets over a real Redis: exact under a race of two processes, as the policies say, and as
// a tenant sets them.
import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { Limiter, type Standing } from '../../src/http/limits.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { createKey } from '../tenants.ts';
import { openDoor } from './door.ts';

const door = await openDoor('limits');
const redis = producerClient(door.stack.redisUrl, 'limits test');
await redisReady(redis);
afterAll(() => redis.disconnect());

const anyKey = { id: 'k', tenant: 1, scopes: new Set<string>(), publishable: false };

async function setLimits(limits: object): Promise<void> {
  const settings = JSON.stringify({ limits });
  await door.stack.owner`
    update tenants set settings = ${settings}::text::jsonb where id = ${door.tenant}`;
  // Longer than a key is trusted.
  await Bun.sleep(1_900);
}

describe('a bucket', () => {
  test('admits its quota at once, then one for each interval', async () => {
    const limiter = new Limiter(redis);
    const key = { ...anyKey, limits: { requests: { key: { quota: 10, window_s: 1 } } } };
    const plan = limiter.plan('requests', key);
    const standing: Standing = { policy: [], limit: [] };
    const take = () => limiter.take(plan, plan.early, { key: 'refill' }, standing);
    const startedAt = performance.now();
    let admitted = 0;
    let elapsedMs = 0;
    let retryAfter = '';
    while (elapsedMs < 700) {
      const refusal = await take();
      // Read after the take: the bucket cannot have had more time than this.
      elapsedMs = performance.now() - startedAt;
      if (refusal) retryAfter = refusal.headers?.['Retry-After'] ?? '';
      else admitted++;
      if (admitted === 10 && !refusal) {
        const [, left] = /;r=(\d+);t=1$/.exec(standing.limit.at(-1)!)!;
        expect(Number(left)).toBeLessThanOrEqual(elapsedMs / 100);
      }
    }
    expect(retryAfter).toBe('1');
    expect(admitted).toBeLessThanOrEqual(10 + elapsedMs / 100);
    expect(admitted).toBeGreaterThanOrEqual(Math.floor(10 + 700 / 100) - 1);
  });

  test('is exact under thousands of takers in two processes', async () => {
    const quota = 500;
    // A window so long that nothing refills while the race runs.
    const racer = () =>
      Bun.spawn([process.execPath, join(import.meta.dir, 'limit-racer.ts')], {
        env: { ...process.env, RACE_REDIS: door.stack.redisUrl, RACE_QUOTA: String(quota) },
        stdout: 'pipe',
      });
    const racers = [racer(), racer()];
    const admitted = await Promise.all(
      racers.map(async ({ stdout }) => Number(await new Response(stdout).text())),
    );
    expect(admitted.every((each) => each > 0)).toBe(true);
    expect(admitted[0]! + admitted[1]!).toBe(quota);
  }, 30_000);
});

test('a tenant sets its own quota, and is told where it stands', async () => {
  const put = await door.call('PUT', '/v1/limits/partners', {
    body: { key: { quota: 2, window_s: 60 } },
  });
  expect(put.body).toMatchObject({ quotas: { key: { quota: 2, window_s: 60 } } });
  await Bun.sleep(1_900);
  const partner = { name: 'P', share_bp: 1, commission_bp: 1, currency: 'USD', status: 'active' };
  const send = () => door.call('PUT', '/v1/partners/p_1', { body: partner });
  const [first, second, third] = [await send(), await send(), await send()];
  expect(first.headers.get('ratelimit-policy')).toBe('"partners-key";q=2;w=60');
  expect(first.headers.get('ratelimit')).toBe('"partners-key";r=1;t=30');
  expect([first.status, second.status, third.status]).toEqual([201, 200, 429]);
  expect(third.body['code']).toBe('rate_limited');
  expect(Number(third.headers.get('retry-after'))).toBeWithin(29, 31);
});

test('checks have no limit by a server key; 100 and 20 guesses by a publishable one', async () => {
  await setLimits({});
  const publishable = await createKey(door.stack.owner, door.tenant, ['coupons:check'], true);
  const order = { total: { amount: 1_000, currency: 'USD' } };
  const check = (key: string) =>
    door.call('POST', '/v1/coupons/validate', { key, body: { code: 'GUESS', order } });
  const byServer = await Promise.all(Array.from({ length: 150 }, () => check(door.key)));
  expect(new Set(byServer.map(({ status }) => status))).toEqual(new Set([200]));
  expect(byServer[0]!.headers.get('ratelimit')).toBeNull();
  await door.call('PUT', '/v1/coupons/KNOWN', { body: { kind: 'percent', percent_bp: 100 } });
  const known = () =>
    door.call('POST', '/v1/coupons/validate', { key: publishable, body: { code: 'KNOWN', order } });
  expect((await known()).status).toBe(200);
  const guesses: number[] = [];
  for (let n = 0; n < 25; n++) guesses.push((await check(publishable)).status);
  expect(guesses).toEqual([...Array(20).fill(200), ...Array(5).fill(429)]);
  const checks = await Promise.all(Array.from({ length: 100 }, known));
  const answered = checks.filter(({ status }) => status === 200).length;
  // 26 of the 100 are gone; a token comes back every 0.6 s.
  expect(answered).toBeWithin(74, 79);
});

test('money commands fall under 10 a minute and user by default', async () => {
  await setLimits({});
  const body = (order: string) => ({
    code: 'NOBODY',
    customer_id: 'c_1',
    order: { id: order, total: { amount: 1_000, currency: 'USD' } },
  });
  const statuses: number[] = [];
  for (let n = 0; n < 12; n++) {
    const reply = await door.call('POST', '/v1/redemptions', {
      body: body(`o_${n}`),
      headers: { 'Idempotency-Key': `key_${n}` },
    });
    statuses.push(reply.status);
    if (n === 0)
      expect(reply.headers.get('ratelimit-policy')).toBe(
        '"redemptions-ip";q=100;w=60, "redemptions-user";q=10;w=60, "redemptions-tenant";q=10000;w=60',
      );
  }
  expect(statuses).toEqual([...Array(10).fill(409), 429, 429]);
});

test('without Redis, money and publishable keys are refused and the rest goes on', async () => {
  const away = producerClient('redis://127.0.0.1:1', 'nowhere');
  const limiter = new Limiter(away);
  const take = (policy: 'requests' | 'redemptions' | 'public_checks') => {
    const plan = limiter.plan(policy, { ...anyKey, limits: {} });
    const buckets = [...plan.early, ...plan.late];
    return limiter.take(plan, buckets, { key: 'k', ip: 'i' }, { policy: [], limit: [] });
  };
  expect(await take('requests')).toBeNull();
  expect(await take('redemptions')).toMatchObject({ status: 503, code: 'store_unavailable' });
  expect(await take('public_checks')).toMatchObject({ status: 503 });
  away.disconnect();
});
