// Every way to be refused at the door: its status, its code, its headers, and what it must not say.
import { describe, expect, test } from 'bun:test';
import { createKey } from '../tenants.ts';
import { type Call, type Reply, openDoor } from './door.ts';

const door = await openDoor('problems');
const checkOnly = await createKey(door.stack.owner, door.tenant, ['coupons:check']);
const secretValue = 'a_value_that_nobody_should_see_again';
const earning = { user_id: 'u_1', kind: 'bonus', reference: 'r_1' };
const event = {
  id: 'e_1',
  type: 'earning.credited',
  data: { ...earning, amount: { amount: 1, currency: 'USD' } },
};
const partner = {
  name: 'P',
  share_bp: 1,
  commission_bp: 1,
  currency: 'USD',
  status: 'active',
};

interface Case {
  says: string;
  method?: string;
  path?: string;
  request?: Call;
  status: number;
  code: string;
  headers?: Record<string, string>;
}

const cases: Case[] = [
  {
    says: 'no key',
    request: { key: null, body: event },
    status: 401,
    code: 'unauthenticated',
    headers: { 'www-authenticate': 'Bearer' },
  },
  {
    says: 'a key of no form',
    request: { key: 'nonsense', body: event },
    status: 401,
    code: 'unauthenticated',
  },
  {
    says: 'a key that does not exist',
    request: { key: 'tr_live_unknown0000', body: event },
    status: 401,
    code: 'unauthenticated',
  },
  {
    says: 'a key without the scope',
    request: { key: checkOnly, body: event },
    status: 403,
    code: 'scope_missing',
  },
  {
    says: 'a path that is not there',
    path: '/v1/nothing',
    request: { body: event },
    status: 404,
    code: 'not_found',
  },
  {
    says: 'a method that is not there',
    method: 'DELETE',
    status: 405,
    code: 'method_not_allowed',
    headers: { allow: 'POST' },
  },
  {
    says: 'several methods, one missing',
    method: 'POST',
    path: '/v1/partners/p_1',
    status: 405,
    code: 'method_not_allowed',
    headers: { allow: 'PUT, GET' },
  },
  {
    says: 'malformed JSON',
    request: { body: '{"id": ' },
    status: 400,
    code: 'malformed_json',
  },
  { says: 'an empty body', request: { body: '' }, status: 400, code: 'malformed_json' },
  {
    says: 'another content type',
    request: { body: event, headers: { 'Content-Type': 'text/plain' } },
    status: 415,
    code: 'unsupported_media_type',
    headers: {
      accept: 'application/json, application/cloudevents+json, application/cloudevents-batch+json',
    },
  },
  {
    says: 'a compressed body',
    request: { body: event, headers: { 'Content-Encoding': 'gzip' } },
    status: 415,
    code: 'unsupported_media_type',
  },
  {
    says: 'a body over the limit',
    method: 'PUT',
    path: '/v1/partners/p_1',
    request: { body: { ...partner, name: 'x'.repeat(40_000) } },
    status: 413,
    code: 'body_too_large',
  },
  {
    says: 'a batch over the limit',
    request: { body: `[${'0,'.repeat(3_000_000)}0]` },
    status: 413,
    code: 'body_too_large',
  },
  {
    says: 'a body past what the server takes at all',
    request: { body: 'x'.repeat(20_000_000) },
    status: 413,
    code: 'body_too_large',
  },
  {
    says: 'one event that is too large',
    request: { body: { ...event, data: { ...event.data, reference: 'x'.repeat(40_000) } } },
    status: 422,
    code: 'invalid_request',
  },
  {
    says: 'an event of a type that nobody knows',
    request: { body: { ...event, type: 'nobody.knows' } },
    status: 422,
    code: 'unknown_event_type',
  },
  {
    says: 'an event that only we may send',
    request: { body: { ...event, type: 'redemption.reserved' } },
    status: 422,
    code: 'unknown_event_type',
  },
  {
    says: 'an array of nothing',
    request: { body: [] },
    status: 422,
    code: 'invalid_request',
  },
  {
    says: 'an array of too many',
    request: { body: Array(1_001).fill(event) },
    status: 422,
    code: 'invalid_request',
  },
  {
    says: 'a query that does not fit',
    method: 'GET',
    path: '/v1/partners?limit=201',
    status: 422,
    code: 'invalid_request',
  },
  {
    says: 'a query that is not known',
    method: 'GET',
    path: '/v1/partners?colour=red',
    status: 422,
    code: 'invalid_request',
  },
  {
    says: 'a query given twice',
    method: 'GET',
    path: '/v1/partners?limit=1&limit=2',
    status: 400,
    code: 'malformed_request',
  },
  {
    says: 'a cursor that we never gave',
    method: 'GET',
    path: '/v1/partners?cursor=abc',
    status: 400,
    code: 'malformed_request',
  },
  {
    says: 'a position that does not exist',
    method: 'GET',
    path: '/v1/accounts/user:u:earnings/balance?at_least=events.999.1',
    status: 400,
    code: 'malformed_request',
  },
  {
    says: 'a position that is not reached',
    method: 'GET',
    path: '/v1/accounts/user:u:earnings/balance?at_least=events.1.999999',
    status: 503,
    code: 'position_not_reached',
    headers: { 'retry-after': '1' },
  },
  {
    says: 'a partner with a colon in its id',
    method: 'PUT',
    path: '/v1/partners/a:b',
    request: { body: partner },
    status: 422,
    code: 'invalid_request',
  },
];

function expectProblem(reply: Reply, status: number, code: string): void {
  expect({ status: reply.status, code: reply.body['code'] }).toEqual({ status, code });
  expect(reply.headers.get('content-type')).toBe('application/problem+json');
  expect(reply.body).toMatchObject({ type: `/problems/${code}`, status });
  expect(reply.body['title']).toBeString();
  expect(reply.body['detail']).toBeString();
  expect(reply.body['request_id']).toBe(reply.headers.get('x-request-id')!);
}

describe('refused with a problem document', () => {
  for (const { says, method = 'POST', path = '/v1/events', request, ...wanted } of cases)
    test(says, async () => {
      const reply = await door.call(method, path, request);
      expectProblem(reply, wanted.status, wanted.code);
      for (const [name, value] of Object.entries(wanted.headers ?? {}))
        expect(reply.headers.get(name)).toBe(value);
    });

  test('and nothing of it is on a stream or in the ledger', async () => {
    const { sql } = door.stack;
    const [count] = await sql`select count(*)::int as n from system_document_heads('partners')`;
    expect(count!['n']).toBe(0);
    const reply = await door.call('GET', '/v1/events/e_1');
    expect(reply.status).toBe(404);
  });
});

test('a chunked body is counted as it comes', async () => {
  const chunk = new TextEncoder().encode('x'.repeat(8_192));
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (sent++ < 100) controller.enqueue(chunk);
      else controller.close();
    },
  });
  const response = await fetch(`${door.url}/v1/partners/p_1`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${door.key}`, 'Content-Type': 'application/json' },
    body,
  });
  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ code: 'body_too_large' });
});

test('a wrong shape is pointed at, and no value comes back', async () => {
  const reply = await door.call('PUT', '/v1/partners/p_1', {
    body: { ...partner, currency: secretValue, share_bp: '50', extra: secretValue },
  });
  expectProblem(reply, 422, 'invalid_request');
  const pointers = (reply.body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer);
  expect(pointers.toSorted()).toEqual(['/currency', '/extra', '/share_bp']);
  expect(reply.text).not.toContain(secretValue);
});

test('in an array each item has its own result, in order', async () => {
  const unknown = { id: 'item_2', type: 'nobody.knows', data: {} };
  const wrong = { ...event, id: 'item_3', data: { ...event.data, kind: 7 } };
  const reply = await door.call('POST', '/v1/events', {
    body: [{ ...event, id: 'item_1' }, unknown, wrong, 'text'],
  });
  expect(reply.status).toBe(202);
  const results = reply.body['results'] as Record<string, unknown>[];
  expect(results.map(({ id, status }) => [id, status])).toEqual([
    ['item_1', 'accepted'],
    ['item_2', 'rejected'],
    ['item_3', 'rejected'],
    [null, 'rejected'],
  ]);
  expect(results[1]).toMatchObject({ problem: { code: 'unknown_event_type', status: 422 } });
  expect(results[2]).toMatchObject({ problem: { errors: [{ pointer: '/data/kind' }] } });
});

test('a request id is taken when it is usable, else made', async () => {
  const given = await door.call('GET', '/livez', { headers: { 'X-Request-Id': 'mine-1' } });
  expect(given.headers.get('x-request-id')).toBe('mine-1');
  const long = 'x'.repeat(129);
  const made = await door.call('GET', '/livez', { headers: { 'X-Request-Id': long } });
  expect(made.headers.get('x-request-id')).toMatch(/^req_\w{24}$/);
});

test('the page of every code is there', async () => {
  const { catalogue } = await import('../../src/http/problem.ts');
  for (const code of Object.keys(catalogue)) {
    const reply = await door.call('GET', `/problems/${code}`, { key: null });
    expect([code, reply.status]).toEqual([code, 200]);
  }
  expect((await door.call('GET', '/problems/constructor')).status).toBe(404);
});
