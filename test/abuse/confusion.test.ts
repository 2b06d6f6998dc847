// Keys that are none: wrong forms, wrong places, revoked ones, somebody else's. Each is refused in
// the same words, and says nothing of which it was.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { openDoor } from '../http/door.ts';
import { createKey } from '../tenants.ts';
import { type WireReply, send, sendText } from './wire.ts';

const door = await openDoor('confusion');
const { owner } = door.stack;
const { key } = door;
const revoked = await createKey(owner, door.tenant, ['partners:write']);
await owner`update api_keys set revoked_at = now() where last4 = ${revoked.slice(-4)}`;
const [stored] = await owner<{ id: string; hash: string }[]>`
  select id::text, encode(hash, 'hex') as hash from api_keys where last4 = ${key.slice(-4)}`;

type Lines = readonly (readonly [string, string])[];

function ask(headers: Lines, target = '/v1/partners'): Promise<WireReply> {
  return send(door.url, { method: 'GET', target, headers, body: '' });
}

const bearer = (text: string): Lines => [['Authorization', `Bearer ${text}`]];
const basic = btoa(`${key}:`);

const refused: readonly (readonly [string, Lines])[] = [
  ['no header', []],
  ['an empty header', [['Authorization', '']]],
  ['a scheme alone', [['Authorization', 'Bearer']]],
  ['a key without a scheme', [['Authorization', key]]],
  ['another scheme', [['Authorization', `Token ${key}`]]],
  ['Basic', [['Authorization', `Basic ${basic}`]]],
  ['a scheme that only begins so', [['Authorization', `BearerX ${key}`]]],
  ['two keys in one header', bearer(`${key}, Bearer ${key}`)],
  ['something behind the key', bearer(`${key} x`)],
  ['two headers, the first right', [...bearer(key), ...bearer('tr_live_nobody0000')]],
  ['two headers, the second right', [...bearer('tr_live_nobody0000'), ...bearer(key)]],
  ['a revoked key', bearer(revoked)],
  ['a key with one letter more', bearer(`${key}0`)],
  ['a key with one letter less', bearer(key.slice(0, -1))],
  ['a key in capitals', bearer(key.toUpperCase())],
  ['a key in quotes', bearer(`"${key}"`)],
  ['a key in percent signs', bearer(`${key}%00`)],
  ['the hash of a key', bearer(stored!.hash)],
  ['the hash in the form of a key', bearer(`tr_test_${stored!.hash}`)],
  ['the id of a key', bearer(stored!.id)],
  ['a key of 12,000 letters', bearer(`tr_live_${'x'.repeat(12_000)}`)],
  ['letters that only look alike', bearer(key.replace('t', '\u0442'))],
  ['a key as a cookie', [['Cookie', `key=${key}; authorization=Bearer ${key}`]]],
  ['a key in headers of other makers', [['X-Api-Key', key]]],
  ['a key for a proxy', [['Proxy-Authorization', `Bearer ${key}`]]],
];

describe('refused in the same words:', () => {
  test.each(refused)('%s', async (_, headers) => {
    const { status, text, raw, headers: answered } = await ask(headers);
    expect(status).toBe(401);
    expect(answered.get('www-authenticate')).toBe('Bearer');
    const { request_id: _id, ...rest } = JSON.parse(text) as Record<string, unknown>;
    expect(rest).toEqual({
      type: '/problems/unauthenticated',
      title: 'Unknown or missing key',
      status: 401,
      code: 'unauthenticated',
      detail: 'Send Authorization: Bearer with a valid key.',
    });
    expect(raw).not.toContain(key);
  });

  test('a key in the query, under any name', async () => {
    for (const name of ['key', 'api_key', 'access_token', 'authorization', 'Authorization'])
      expect((await ask([], `/v1/partners?${name}=${key}`)).status).toBe(401);
  });

  test('any text of any length', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme-ascii', maxLength: 300 }),
      fc.stringMatching(/^tr_(live|test|pub)_[A-Za-z0-9_]{0,140}$/),
    );
    await fc.assert(
      fc.asyncProperty(text, async (given) => {
        expect((await ask(bearer(given))).status).toBe(401);
      }),
      { numRuns: 200 },
    );
  });

  test.each(['\u0000', '\r', '\n', '\r\nX-Injected: 1'])('a key with %p in it', async (odd) => {
    const head = `GET /v1/partners HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
    const line = `Authorization: Bearer ${key.slice(0, 20)}${odd}${key.slice(20)}\r\n\r\n`;
    expect((await sendText(door.url, head + line)).status).toBeOneOf([400, 401]);
  });
});

test.each([
  ['the scheme in lower case', `bearer ${key}`],
  ['the scheme in capitals', `BEARER ${key}`],
  ['several spaces', `Bearer   ${key}`],
  ['a space behind it, which HTTP drops', `Bearer ${key} `],
])('taken: %s', async (_, value) => {
  expect((await ask([['Authorization', value]])).status).toBe(200);
});

test("another tenant's key sees its own, and the same key has one tenant", async () => {
  const terms = { share_bp: 1, commission_bp: 1, currency: 'USD', status: 'active' };
  await door.call('PUT', '/v1/partners/p_1', { body: { ...terms, name: 'mine' } });
  const { key: theirs } = await door.stack.createTenant('theirs');
  expect((await door.call('GET', '/v1/partners/p_1', { key: theirs })).status).toBe(404);
  const taken = createKeyAgain(key);
  await expect(taken).rejects.toMatchObject({ code: '23505' });
});

async function createKeyAgain(again: string): Promise<void> {
  const hash = new Bun.CryptoHasher('sha256').update(again).digest();
  await owner`
    insert into api_keys (tenant_id, name, prefix, last4, hash, scopes)
    select id, 'again', 'x', 'y', ${hash}, '{}' from tenants where name = 'theirs'`;
}

test('a key is stored as its hash, and nothing of it but its first and last letters', async () => {
  const rows = await owner`select to_jsonb(k)::text as row from api_keys k`;
  for (const { row } of rows) expect(String(row)).not.toContain(key.slice(13, -5));
});
