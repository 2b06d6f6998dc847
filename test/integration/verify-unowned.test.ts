// What was accepted before any worker ever ran is pending for verify, not nothing.
import { expect, test } from 'bun:test';
import { openDoor } from '../http/door.ts';

const door = await openDoor('verify_unowned');

test('an event that no worker has owned the stream of is pending', async () => {
  const amount = { amount: 1, currency: 'USD' };
  const data = { user_id: 'u_1', kind: 'test', amount, reference: 'r' };
  const body = { id: 'evt_1', type: 'earning.credited', data };
  expect((await door.call('POST', '/v1/events', { body })).status).toBe(202);
  const { stdout } = await door.stack.run('verify', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ accepted: 1, pending: 1, posted: 0, problems: [] });
});
