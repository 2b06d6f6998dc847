// ioredis asks a tracing channel whether anybody listens, and copies every command's arguments
// unless the answer is no. Bun leaves the answer out.
import { tracingChannel } from 'node:diagnostics_channel';
import { expect, test } from 'bun:test';
import '../../src/io/redis.ts';

test('a tracing channel says whether anybody listens', () => {
  const channel = tracingChannel('tallyrace-test');
  expect(channel.hasSubscribers).toBe(false);
  const listener = { asyncEnd() {} };
  channel.subscribe(listener as Parameters<typeof channel.subscribe>[0]);
  expect(channel.hasSubscribers).toBe(true);
  channel.unsubscribe(listener as Parameters<typeof channel.subscribe>[0]);
  expect(channel.hasSubscribers).toBe(false);
});
