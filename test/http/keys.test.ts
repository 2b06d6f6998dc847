// Keys in memory: how soon a new or revoked one is seen, what an outage of Postgres does, and that
// a flood of lookups is one query at a time.
import { expect, test } from 'bun:test';
import { type Key, Keys, KeysUnavailable } from '../../src/cache/keys.ts';
import { UNKNOWN_KEYS_PER_MINUTE } from '../../src/cache/strangers.ts';
import { createKey } from '../tenants.ts';
import { openDoor } from './door.ts';

const door = await openDoor('keys');

const known: Key = {
  id: 'k_1',
  tenant: 7,
  scopes: new Set(['admin']),
  publishable: false,
  limits: {},
};

/** Keys over a clock that the test turns, and a Postgres that it can take away. */
function bench() {
  const state = { now: 1_000_000, away: false, revoked: false, batches: [] as number[] };
  const keys = new Keys(
    async (hashes) => {
      state.batches.push(hashes.length);
      await Bun.sleep(1);
      if (state.away) throw new Error('away');
      return new Map(state.revoked ? [] : hashes.map((hash) => [hash, known]));
    },
    () => state.now,
  );
  return { state, keys };
}

const token = 'tr_test_abcdefgh';
const sender = { ip: '192.0.2.1' };

test('a revoked key is refused within 2 s, over HTTP', async () => {
  const { owner } = door.stack;
  const key = await createKey(owner, door.tenant, ['partners:write']);
  const status = async () => (await door.call('GET', '/v1/partners', { key })).status;
  expect(await status()).toBe(200);
  await owner`update api_keys set revoked_at = now() where last4 = ${key.slice(-4)}`;
  const revokedAt = Date.now();
  while ((await status()) !== 401) {
    expect(Date.now() - revokedAt).toBeLessThan(2_000);
    await Bun.sleep(20);
  }
});

test('a key that was unknown is seen within 2 s of its creation, over HTTP', async () => {
  const { owner } = door.stack;
  const key = await createKey(owner, door.tenant, ['partners:write']);
  await owner`update api_keys set revoked_at = now() where last4 = ${key.slice(-4)}`;
  expect((await door.call('GET', '/v1/partners', { key })).status).toBe(401);
  await owner`update api_keys set revoked_at = null where last4 = ${key.slice(-4)}`;
  await Bun.sleep(1_900);
  expect((await door.call('GET', '/v1/partners', { key })).status).toBe(200);
});

test('a known key costs no promise and no query', async () => {
  const { state, keys } = bench();
  expect(await keys.find(token, sender)).toBe(known);
  expect(keys.find(token, sender)).toBe(known);
  expect(state.batches).toEqual([1]);
});

test('a key in use is asked about in the background before it is too old', async () => {
  const { state, keys } = bench();
  await keys.find(token, sender);
  state.revoked = true;
  state.now += 800;
  expect(keys.find(token, sender)).toBe(known);
  await Bun.sleep(10);
  expect(keys.find(token, sender)).toBeNull();
});

test('what was not asked about for long is asked about first', async () => {
  const { state, keys } = bench();
  await keys.find(token, sender);
  state.revoked = true;
  state.now += 60_000;
  expect(await keys.find(token, sender)).toBeNull();
});

test('an outage stops nobody who was known, and nobody else gets in', async () => {
  const { state, keys } = bench();
  await keys.find(token, sender);
  state.away = true;
  state.now += 60_000;
  expect(await keys.find(token, sender)).toBe(known);
  expect(keys.find(token, sender)).toBe(known);
  await expect(Promise.resolve(keys.find('tr_test_unknown1', sender))).rejects.toBeInstanceOf(
    KeysUnavailable,
  );
  state.now += 3_600_000;
  await expect(Promise.resolve(keys.find(token, sender))).rejects.toBeInstanceOf(KeysUnavailable);
});

test('many lookups at once are few queries, and text of no form is none', async () => {
  const { state, keys } = bench();
  const tokens = Array.from({ length: 1_000 }, (_, n) => `tr_live_key${n}`);
  await Promise.all(tokens.map((each) => keys.find(each, sender)));
  expect(state.batches.reduce((sum, size) => sum + size)).toBe(1_000);
  expect(state.batches.length).toBeLessThan(5);
  for (const text of ['', 'Bearer', 'tr_test_', 'tr_other_abcdef', `tr_live_${'x'.repeat(200)}`])
    expect(keys.find(text, sender)).toBeNull();
});

test('a flood of unknown keys is bounded, and pushes out no key that is known', async () => {
  const state = { now: 1_000_000, hashes: 0 };
  const isOurs = Bun.SHA256.hash(token, 'hex');
  const keys = new Keys(
    async (hashes) => {
      state.hashes += hashes.length;
      await Bun.sleep(0);
      return new Map(hashes.filter((hash) => hash === isOurs).map((hash) => [hash, known]));
    },
    () => state.now,
  );
  const flooder = { ip: '203.0.113.5' };
  expect(await keys.find(token, flooder)).toBe(known);
  const flood = Array.from({ length: 3_000 }, (_, n) => keys.find(`tr_live_flood${n}`, flooder));
  expect((await Promise.all(flood)).every((found) => found === null)).toBe(true);
  expect(state.hashes).toBe(1 + UNKNOWN_KEYS_PER_MINUTE);
  expect(keys.waitMs(flooder)).toBeGreaterThan(0);
  expect(keys.find(token, flooder)).toBe(known);

  // From everywhere: more than are remembered, and the one that is ours still costs no look-up.
  for (let n = 0; n < 12_000; n += 1_000)
    await Promise.all(
      Array.from({ length: 1_000 }, (_, m) =>
        keys.find(`tr_live_many${n + m}`, { ip: `2001:db8:${n}::` }),
      ),
    );
  const before = state.hashes;
  expect(keys.find(token, sender)).toBe(known);
  expect(state.hashes).toBe(before);
});

test('the same unknown key costs one look-up, however often it comes', async () => {
  const { state, keys } = bench();
  state.revoked = true;
  for (let n = 0; n < 5_000; n++) expect(await keys.find(token, sender)).toBeNull();
  expect(state.batches).toEqual([1]);
  expect(keys.waitMs(sender)).toBe(0);
});

test("keys that Postgres could not say anything about are nobody's fault", async () => {
  const { state, keys } = bench();
  state.away = true;
  const asked = Array.from({ length: 2_000 }, (_, n) =>
    Promise.resolve(keys.find(`tr_live_away${n}`, sender)).catch(() => 'away'),
  );
  await Promise.all(asked);
  expect(keys.waitMs(sender)).toBe(0);
});

test('a publishable key may check coupons only, whatever scopes it was given', async () => {
  const scopes = ['coupons:check', 'partners:write', 'admin'];
  const key = await createKey(door.stack.owner, door.tenant, scopes, true);
  const refused = await door.call('GET', '/v1/partners', { key });
  expect([refused.status, refused.body['code']]).toEqual([403, 'scope_missing']);
  const order = { total: { amount: 100, currency: 'USD' } };
  const check = await door.call('POST', '/v1/coupons/validate', {
    key,
    body: { code: 'NOBODY', order },
  });
  expect(check.body).toEqual({ valid: false, code: 'NOBODY', public_reason: 'not_found' });
});

test('over HTTP: past the limit an unknown key is told to wait, a known one is not', async () => {
  expect((await door.call('GET', '/v1/partners')).status).toBe(200);
  const statuses = new Map<number, number>();
  for (let n = 0; n < UNKNOWN_KEYS_PER_MINUTE * 2; n += 100)
    await Promise.all(
      Array.from({ length: 100 }, async (_, m) => {
        const { status } = await door.call('GET', '/v1/partners', { key: `tr_live_no${n + m}` });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }),
    );
  expect([...statuses.keys()].toSorted()).toEqual([401, 429]);
  expect(statuses.get(401)!).toBeGreaterThanOrEqual(UNKNOWN_KEYS_PER_MINUTE - 1);
  const refused = await door.call('GET', '/v1/partners', { key: 'tr_live_another' });
  expect([refused.status, refused.body['code']]).toEqual([429, 'rate_limited']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await door.call('GET', '/v1/partners')).status).toBe(200);
});
