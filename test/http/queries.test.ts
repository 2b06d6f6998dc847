// What stands in an address: numbers as we write them, names that are known, cursors that we gave.
import { expect, test } from 'bun:test';
import { openDoor } from './door.ts';

const door = await openDoor('queries');

test.each([
  ...['true', '1e1', '0x10', '01', '1.0', '-0', '', '%001', '9'.repeat(20)].map(
    (limit) => [`limit=${limit}`, 422, 'invalid_request'] as const,
  ),
  ['__proto__=a', 422, 'invalid_request'],
  ['constructor=a', 422, 'invalid_request'],
  ['limit=1&limit=1', 400, 'malformed_request'],
  ['__proto__=a&__proto__=a', 400, 'malformed_request'],
  ['cursor=', 422, 'invalid_request'],
  // `1:` and nothing, `1:` and a NUL, `1:` and a line's end, another version.
  ['cursor=MTo', 400, 'malformed_request'],
  ['cursor=MToA', 400, 'malformed_request'],
  ['cursor=MToK', 400, 'malformed_request'],
  ['cursor=MjphYQ', 400, 'malformed_request'],
])('?%s is %d %s', async (query, status, code) => {
  const reply = await door.call('GET', `/v1/partners?${query}`);
  expect([reply.status, reply.body['code']]).toEqual([status, code]);
});

test.each(['?limit=1', '?limit=200', '?cursor=MTph', '?', ''])(
  '/v1/partners%s is taken',
  async (query) => {
    expect((await door.call('GET', `/v1/partners${query}`)).status).toBe(200);
  },
);

test('limits of a policy that nobody knows are neither set nor kept', async () => {
  for (const policy of ['nobodys', '__proto__', 'constructor']) {
    const reply = await door.call('PUT', `/v1/limits/${policy}`, { body: null });
    expect([reply.status, reply.body['code']]).toEqual([422, 'invalid_request']);
  }
  const [row] = await door.stack.owner`
    select settings::text as settings from tenants where id = ${door.tenant}`;
  expect(row!['settings']).not.toContain('nobodys');
});
