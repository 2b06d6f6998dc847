// One id is one event of a tenant, whatever `source` a CloudEvent names: what comes twice by two
// ways is posted once, and two events that share an id are told so.
import { expect, test } from 'bun:test';
import { openDoor } from '../http/door.ts';

const door = await openDoor('sources', { ledger: true });
const STRUCTURED = { 'Content-Type': 'application/cloudevents+json', Prefer: 'wait=ledger' };

function cloud(id: string, source: string, amount = 5) {
  const money = { amount, currency: 'USD' };
  const data = { user_id: 'u_1', kind: 'test', amount: money, reference: id };
  return { specversion: '1.0', id, source, type: 'earning.credited', data };
}

const results = (body: Record<string, unknown>) => body['results'] as Record<string, unknown>[];

test('the same event by another source, or in our own form, is a duplicate', async () => {
  const first = await door.call('POST', '/v1/events', {
    body: cloud('s_1', '/a'),
    headers: STRUCTURED,
  });
  expect(results(first.body)).toMatchObject([{ status: 'accepted' }]);
  const again = await door.call('POST', '/v1/events', {
    body: cloud('s_1', '/b'),
    headers: STRUCTURED,
  });
  expect(results(again.body)).toMatchObject([{ status: 'duplicate' }]);
  const { id, type, data } = cloud('s_1', '/a');
  const native = await door.call('POST', '/v1/events', { body: { id, type, data } });
  expect(results(native.body)).toMatchObject([{ status: 'duplicate' }]);
  const balance = await door.call('GET', '/v1/accounts/user:u_1:earnings/balance');
  expect(balance.body).toMatchObject({ balance: { amount: 5 }, sequence: 1 });
});

test('another event under the id of another source is refused, and says so', async () => {
  await door.call('POST', '/v1/events', { body: cloud('s_2', '/a', 5), headers: STRUCTURED });
  const other = await door.call('POST', '/v1/events', {
    body: cloud('s_2', '/b', 6),
    headers: STRUCTURED,
  });
  expect([other.status, other.body['code']]).toEqual([409, 'event_id_reused']);
  expect(other.body['errors']).toMatchObject([{ pointer: '/data/amount/amount' }]);
});
