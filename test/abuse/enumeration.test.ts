// Whoever guesses coupon codes with a publishable key: how many guesses there are, that no way of
// asking gets more, and that nothing in an answer but the public reason tells codes apart.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { publicReasons } from '../../schemas/coupons.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { type Call, type Door, type Reply, openDoor } from '../http/door.ts';
import { eventually } from '../processes.ts';
import { createKey } from '../tenants.ts';

// One proxy is believed, so that each test has an address of its own.
const door = await openDoor('enumeration', { env: { TRUSTED_PROXY_HOPS: '1' }, ledger: true });
const redis = producerClient(door.stack.redisUrl, 'enumeration test');
await redisReady(redis);
afterAll(() => redis.disconnect());
const publishable = await createKey(door.stack.owner, door.tenant, ['coupons:check'], true);
const order = { total: { amount: 5_000, currency: 'USD' } };
const percent = { kind: 'percent', percent_bp: 100 };

beforeAll(async () => {
  const terms: Record<string, object> = {
    KNOWN: percent,
    HIDDEN: percent,
    OFF: { ...percent, status: 'disabled' },
    SOON: { ...percent, starts_at: '2999-01-01T00:00:00Z' },
  };
  for (let n = 0; n < 120; n++) terms[`K-${n}`] = percent;
  for (const [code, body] of Object.entries(terms))
    expect((await door.call('PUT', `/v1/coupons/${code}`, { body })).status).toBe(201);
});

function ask(address: string, body: object, path = '', from: Door = door): Promise<Reply> {
  const request: Call = { key: publishable, body, headers: { 'X-Forwarded-For': address } };
  return from.call('POST', `/v1/coupons/validate${path}`, request);
}

const guess = (address: string, code: string, from?: Door): Promise<Reply> =>
  ask(address, { code, order }, '', from);

async function exhaust(address: string): Promise<void> {
  for (let n = 0; n < 20; n++)
    expect((await guess(address, `TRY-${n}`)).body['public_reason']).toBe('not_found');
}

test('unknown, disabled and not yet started codes are one answer, header for header', async () => {
  const answers = await Promise.all(
    // Of one length, each from an address of its own.
    ['NONE', 'OFF', 'SOON'].map((code, n) => guess(`192.0.2.${n + 1}`, code)),
  );
  const seen = answers.map(({ status, headers, text, body }) => ({
    status,
    text: text.replace(String(body['code']), 'CODE'),
    headers: [...headers]
      .filter(([name]) => !['date', 'x-request-id', 'content-length'].includes(name))
      .toSorted(),
  }));
  expect(seen[0]!.headers.map(([name]) => name)).toContain('ratelimit');
  expect(seen[1]).toEqual(seen[0]!);
  expect(seen[2]).toEqual(seen[0]!);
});

test('a disabled code costs a guess, as an unknown one does', async () => {
  const statuses: number[] = [];
  for (let n = 0; n < 21; n++)
    statuses.push((await guess('192.0.2.10', n % 2 ? 'OFF' : 'NONE')).status);
  expect(statuses).toEqual([...Array(20).fill(200), 429]);
});

test('when no guess is left, a refusal tells nothing of the code', async () => {
  await exhaust('192.0.2.20');
  const [unknown, hidden] = [
    await guess('192.0.2.20', 'NONE'),
    await guess('192.0.2.20', 'HIDDEN'),
  ];
  const shown = ({ status, body }: Reply) => ({ status, ...body, request_id: '' });
  expect(shown(hidden)).toEqual(shown(unknown));
  expect(hidden.status).toBe(429);
});

/** How often what is used of a code was read from Redis. */
async function usageReads(): Promise<number> {
  const stats = await redis.info('commandstats');
  return Number(/cmdstat_hmget:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

test('a refused guess reads nothing of a code that exists, which would take longer', async () => {
  const limited = { ...percent, limits: { global: 5 } };
  for (const code of ['FIVE', 'SIX'])
    await door.call('PUT', `/v1/coupons/${code}`, { body: limited });
  // Longer than it takes to hear of the change.
  await Bun.sleep(300);
  const before = await usageReads();
  expect((await guess('192.0.2.25', 'FIVE')).status).toBe(200);
  const told = await usageReads();
  expect(told).toBeGreaterThan(before);
  await exhaust('192.0.2.25');
  expect((await guess('192.0.2.25', 'SIX')).status).toBe(429);
  expect(await usageReads()).toBe(told);
});

test('a code that the address was told of is answered on', async () => {
  expect((await guess('192.0.2.30', 'KNOWN')).body['valid']).toBe(true);
  await exhaust('192.0.2.30');
  expect((await guess('192.0.2.30', 'KNOWN')).body['valid']).toBe(true);
  expect((await guess('192.0.2.30', 'known')).status).toBe(429);
});

test('each code of a stack and of a batch is a guess', async () => {
  const stack = (of: number) => Array.from({ length: 10 }, (_, n) => `STACK-${of}-${n}`);
  expect((await ask('192.0.2.40', { codes: stack(0), order })).status).toBe(200);
  expect((await ask('192.0.2.40', { codes: stack(1), order })).status).toBe(200);
  expect((await guess('192.0.2.40', 'NONE')).status).toBe(429);

  const checks = [0, 1].map((of) => ({ codes: stack(of), order }));
  expect((await ask('192.0.2.41', { checks }, '/batch')).status).toBe(200);
  expect((await guess('192.0.2.41', 'NONE')).status).toBe(429);
});

test('a batch of more guesses than there are costs them all and tells nothing', async () => {
  const checks = Array.from({ length: 21 }, (_, n) => ({ code: `MANY-${n}`, order }));
  expect((await ask('192.0.2.50', { checks }, '/batch')).status).toBe(429);
  expect((await guess('192.0.2.50', 'HIDDEN')).status).toBe(429);
  // With five guesses gone, twenty codes are too many whether they exist or not.
  for (let n = 0; n < 5; n++) await guess('192.0.2.51', `TRY-${n}`);
  const known = Array.from({ length: 20 }, (_, n) => ({ code: `K-${n}`, order }));
  expect((await ask('192.0.2.51', { checks: known }, '/batch')).status).toBe(429);
});

test('each code of a batch is a check: a hundred a minute, however they are asked', async () => {
  const checks = Array.from({ length: 100 }, (_, n) => ({ code: `K-${n}`, order }));
  const all = await ask('192.0.2.60', { checks }, '/batch');
  expect([all.status, (all.body['results'] as unknown[]).length]).toEqual([200, 100]);
  expect((await guess('192.0.2.60', 'K-1')).status).toBe(429);
  const more = { checks: [...checks, { code: 'K-101', order }] };
  expect((await ask('192.0.2.61', more, '/batch')).status).toBe(429);
});

test('a household of IPv6 is one address, and an IPv4 address has one name', async () => {
  await exhaust('2001:db8:1:2::1');
  for (const same of [
    '2001:db8:1:2:ffff::9',
    '2001:0DB8:0001:0002:0:0:0:5',
    '[2001:db8:1:2::7]:80',
  ])
    expect([same, (await guess(same, 'NONE')).status]).toEqual([same, 429]);
  expect((await guess('2001:db8:1:3::1', 'NONE')).status).toBe(200);
  await exhaust('198.51.100.7');
  for (const same of ['::ffff:198.51.100.7', '::ffff:c633:6407', '198.51.100.7:4711'])
    expect([same, (await guess(same, 'NONE')).status]).toEqual([same, 429]);
});

test('only what the trusted proxy says counts, and what is no address is the proxy', async () => {
  await exhaust('192.0.2.70');
  expect((await guess('203.0.113.9, 192.0.2.70', 'NONE')).status).toBe(429);
  await exhaust('not an address');
  expect((await guess("0; drop'{}:*", 'NONE')).status).toBe(429);
  const direct = await door.openAnother({ TRUSTED_PROXY_HOPS: '0' });
  expect((await guess('203.0.113.10', 'NONE', direct)).status).toBe(429);
});

test('the guesses of two processes are counted together', async () => {
  const other = await door.openAnother();
  const statuses = await Promise.all(
    Array.from({ length: 60 }, async (_, n) => {
      const reply = await guess('192.0.2.80', `RACE-${n}`, n % 2 ? other : door);
      return reply.status;
    }),
  );
  expect(statuses.filter((status) => status === 200)).toHaveLength(20);
});

test("another tenant's code is unknown, like one that nobody has", async () => {
  const { id } = await door.stack.createTenant('stranger');
  const theirs = await createKey(door.stack.owner, id, ['coupons:check'], true);
  const asked = { key: theirs, body: { code: 'KNOWN', order } };
  const reply = await door.call('POST', '/v1/coupons/validate', {
    ...asked,
    headers: { 'X-Forwarded-For': '192.0.2.90' },
  });
  expect(reply.body).toEqual({ valid: false, code: 'KNOWN', public_reason: 'not_found' });
  expect(publicReasons).toHaveLength(4);
});

test('a check that was refused is not among the checks that were made', async () => {
  await exhaust('192.0.2.100');
  await guess('192.0.2.100', 'K-119');
  // An ingress that stops sends the counts that it still holds.
  await door.stop();
  const recorded = (code: string) =>
    door.stack.owner`select code from coupon_checks where code = ${code}`;
  await eventually('the checks of KNOWN are recorded', async () => {
    const rows = await recorded('KNOWN');
    return rows.length > 0;
  });
  expect(await recorded('K-119')).toHaveLength(0);
});
