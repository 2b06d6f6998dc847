// Coupons over HTTP: terms, checks by server and by publishable keys, redemptions.
import { beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { openDoor } from '../http/door.ts';
import { createKey } from '../tenants.ts';

setDefaultTimeout(60_000);
const door = await openDoor('coupon-http', { ledger: true });
const publishable = await createKey(door.stack.owner, door.tenant, ['coupons:check'], true);

const usd = (amount: number) => ({ amount, currency: 'USD' });
const order = (amount: number, id?: string) => ({ ...(id ? { id } : {}), total: usd(amount) });
const put = (code: string, body: object) => door.call('PUT', `/v1/coupons/${code}`, { body });
const get = (path: string) => door.call('GET', path);
const check = (body: object, key = door.key) =>
  door.call('POST', '/v1/coupons/validate', { body, key });
let requests = 0;
const redeem = (body: object) =>
  door.call('POST', '/v1/redemptions', {
    body,
    headers: { 'Idempotency-Key': `k${requests++}` },
  });
const pointers = ({ body }: { body: Record<string, unknown> }) =>
  (body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer);

const tenth = { kind: 'percent', percent_bp: 1_000 };

beforeAll(async () => {
  // The defaults would stop a test of many redemptions from one address.
  const lifted = { redemptions: null, requests: null };
  await door.stack.owner`
    update tenants set settings = settings || ${JSON.stringify({ limits: lifted })}::text::jsonb
    where id = ${door.tenant}`;
  await put('TENTH', tenth);
  await put('OFF', { ...tenth, status: 'disabled' });
  await put('LATER', { ...tenth, starts_at: '2999-01-01T00:00:00Z' });
});

describe('terms', () => {
  test('are created, changed and left alone, each with its version', async () => {
    const first = await put('WELCOME', tenth);
    expect(first).toMatchObject({ status: 201, body: { code: 'WELCOME', version: 1, ...tenth } });
    expect(await put('WELCOME', tenth)).toMatchObject({ status: 200, body: { version: 1 } });
    const changed = await put('WELCOME', { ...tenth, percent_bp: 2_000 });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, percent_bp: 2_000 } });
    expect((await check({ code: 'WELCOME', order: order(100) })).body).toMatchObject({
      discount: usd(20),
      version: 2,
    });
    expect(await get('/v1/coupons/WELCOME')).toMatchObject({
      status: 200,
      body: { usage: { reserved: 0, redeemed: 0, budget_used: null } },
    });
  });

  test('that make no sense are refused with pointers', async () => {
    const reply = await put('ODD', { kind: 'fixed', percent_bp: 5 });
    expect(reply.status).toBe(422);
    expect(pointers(reply)).toEqual(['/percent_bp', '/value']);
    expect((await put('ODD', { kind: 'fixed', valeu: usd(5) })).status).toBe(422);
    expect((await get('/v1/coupons/ODD')).status).toBe(404);
  });

  test('are listed in pages with their usage', async () => {
    for (let n = 0; n < 5; n++) await put(`LIST-${n}`, { ...tenth, limits: { global: 9 } });
    await redeem({ code: 'LIST-1', customer_id: 'c', order: order(500, 'l1') });
    const seen: Record<string, unknown>[] = [];
    let cursor = '';
    do {
      const { body } = await get(`/v1/coupons?limit=3${cursor && `&cursor=${cursor}`}`);
      seen.push(...(body['data'] as Record<string, unknown>[]));
      cursor = (body['next_cursor'] as string | null) ?? '';
    } while (cursor !== '');
    const codes = seen.map(({ code }) => code as string);
    expect(codes).toEqual(codes.toSorted());
    expect(seen.find(({ code }) => code === 'LIST-1')).toMatchObject({
      usage: { reserved: 1, redeemed: 0 },
    });
  });
});

describe('a check', () => {
  test('answers what is taken off and how fresh that is', async () => {
    const { status, body } = await check({ code: 'TENTH', order: order(5_000) });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { valid: true, code: 'TENTH', discount: usd(500), total_after: usd(4_500), version: 1 },
    });
    expect(Date.now() - Date.parse(body['as_of'] as string)).toBeLessThan(5_000);
  });

  test.each([
    ['NOBODY', 'not_found', 'not_found'],
    ['OFF', 'disabled', 'not_found'],
    ['LATER', 'not_started', 'not_found'],
  ])('of %s says %s to a server, %s to a browser', async (code, reason, public_reason) => {
    const request = { code, order: order(5_000) };
    expect((await check(request)).body).toEqual({ valid: false, code, reason, public_reason });
    expect((await check(request, publishable)).body).toEqual({ valid: false, code, public_reason });
  });

  test('knows what was just redeemed here', async () => {
    await put('LAST', { ...tenth, limits: { global: 1, per_customer: 1 } });
    const request = { code: 'LAST', customer_id: 'c_1', order: order(5_000, 'last') };
    expect((await check(request)).body).toMatchObject({ valid: true });
    expect((await redeem({ ...request, commit: true })).status).toBe(201);
    expect((await check(request)).body).toMatchObject({ reason: 'limit_reached' });
  });

  test('of a stack applies codes in order', async () => {
    await put('S1', { kind: 'fixed', value: usd(700), stackable: true });
    await put('S2', { kind: 'percent', percent_bp: 5_000, stackable: true });
    const { body } = await check({ codes: ['S1', 'S2'], order: order(1_000) });
    expect(body).toMatchObject({
      valid: true,
      discount: usd(850),
      total_after: usd(150),
      results: [{ discount: usd(700) }, { discount: usd(150) }],
    });
    expect((await check({ codes: ['S1', 'TENTH'], order: order(1_000) })).body).toMatchObject({
      valid: false,
      results: [{ valid: true }, { reason: 'not_stackable' }],
    });
  });

  test('needs either a code or codes', async () => {
    for (const codes of [{}, { code: 'S1', codes: ['S2'] }]) {
      const reply = await check({ ...codes, order: order(1_000) });
      expect(reply.status).toBe(422);
      expect(pointers(reply)).toEqual(['/code']);
    }
  });

  test('can be one of a thousand', async () => {
    const checks = Array.from({ length: 1_000 }, (_, n) => ({
      code: n % 2 === 0 ? 'TENTH' : 'NOBODY',
      order: order(n * 10),
    }));
    const batch = (body: object) => door.call('POST', '/v1/coupons/validate/batch', { body });
    const { status, body } = await batch({ checks });
    expect(status).toBe(200);
    const results = body['results'] as { valid: boolean }[];
    expect(results.map(({ valid }) => valid)).toEqual(checks.map((_, n) => n % 2 === 0));
    expect((await batch({ checks: [...checks, checks[0]] })).status).toBe(422);
  });
});

test('a browser that guesses codes is stopped, and one that uses known codes is not', async () => {
  const known = () => check({ code: 'TENTH', order: order(100) }, publishable);
  expect((await known()).status).toBe(200);
  const guesser = { 'X-Forwarded-For': '203.0.113.7' };
  const statuses: number[] = [];
  for (let n = 0; n < 24; n++) {
    const request = { body: { code: `GUESS-${n}`, order: order(1) }, key: publishable };
    const reply = await door.call('POST', '/v1/coupons/validate', { ...request, headers: guesser });
    statuses.push(reply.status);
  }
  // Some of the twenty went to the checks above; the rest are 429 from then on.
  expect(statuses.indexOf(429)).toBeGreaterThan(10);
  expect(statuses.slice(statuses.indexOf(429)).every((status) => status === 429)).toBe(true);
  expect((await known()).status).toBe(200);
  // Another code that exists is refused too: else the refusal would tell which do.
  await put('UNTOLD', { kind: 'percent', percent_bp: 100 });
  expect((await check({ code: 'UNTOLD', order: order(1) }, publishable)).status).toBe(429);
});

describe('a redemption', () => {
  test('is reserved, committed, refunded, and its account says so', async () => {
    await put('WAY', { kind: 'fixed', value: usd(500), limits: { global: 5, budget: usd(5_000) } });
    const made = await redeem({ code: 'WAY', customer_id: 'c_1', order: order(5_000, 'w1') });
    expect(made).toMatchObject({
      status: 201,
      body: {
        status: 'reserved',
        discount: usd(500),
        position: expect.stringMatching(/^coupons\./),
      },
    });
    const path = `/v1/redemptions/${made.body['id'] as string}`;
    const usage = async () => (await get('/v1/coupons/WAY')).body['usage'];
    expect(await usage()).toEqual({ reserved: 1, redeemed: 0, budget_used: usd(500) });
    expect(await door.call('POST', `${path}/commit`)).toMatchObject({
      status: 200,
      body: { status: 'committed' },
    });
    const again = await door.call('POST', `${path}/commit`);
    expect(again.status).toBe(200);
    expect(await get(path)).toMatchObject({ body: { status: 'committed', order_id: 'w1' } });
    const position = again.body['position'] as string;
    const account = `/v1/accounts/${encodeURIComponent('coupon:WAY:uses')}/balance`;
    expect((await get(`${account}?at_least=${position}`)).body).toMatchObject({
      balance: { amount: 1, currency: 'uses' },
    });
    const released = await door.call('POST', `${path}/release`);
    expect(released).toMatchObject({ status: 200, body: { status: 'released' } });
    expect(await usage()).toEqual({ reserved: 0, redeemed: 0, budget_used: usd(0) });
    expect((await door.call('POST', `${path}/commit`)).body).toMatchObject({
      status: 409,
      code: 'already_released',
    });
  });

  test('that is refused says why, and of which code', async () => {
    const reply = await redeem({
      codes: ['S1', 'NOBODY'],
      customer_id: 'c_1',
      order: order(5_000, 'r1'),
    });
    expect(reply).toMatchObject({ status: 409, body: { code: 'not_found' } });
    expect(pointers(reply)).toEqual(['/codes/1']);
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
  });

  test('needs its order, customer and Idempotency-Key', async () => {
    const reply = await redeem({ code: 'TENTH', order: { total: usd(1) } });
    expect(reply.status).toBe(422);
    expect(pointers(reply).toSorted()).toEqual(['/customer_id', '/order/id']);
    const body = { code: 'TENTH', customer_id: 'c', order: order(1, 'x') };
    expect((await door.call('POST', '/v1/redemptions', { body })).status).toBe(400);
  });

  test('nobody knows is not found', async () => {
    const path = '/v1/redemptions/rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
    expect((await get(path)).status).toBe(404);
    for (const verb of ['commit', 'release'])
      expect((await door.call('POST', `${path}/${verb}`)).status).toBe(404);
  });
});

test('checks are counted by code and result', async () => {
  const counted = async () =>
    Object.fromEntries(
      (
        await door.stack.owner<{ code: string; result: string; checks: number }[]>`
          select code, result, sum(checks)::int as checks from coupon_checks group by 1, 2`
      ).map(({ code, result, checks }) => [`${code} ${result}`, checks]),
    );
  const wanted = { 'OFF disabled': 2, 'LATER not_started': 2, 'LAST limit_reached': 1 };
  for (let round = 0; round < 100; round++) {
    const { 'LAST limit_reached': last, 'TENTH valid': valid = 0 } = await counted();
    if (last === 1 && valid > 500) break;
    await Bun.sleep(100);
  }
  const found = await counted();
  expect(found).toMatchObject(wanted);
  expect(found['TENTH valid']).toBeGreaterThan(500);
  expect(Object.keys(found).some((name) => name.startsWith('GUESS'))).toBe(false);
});
