// A worker takes a lease and the reply is lost: Postgres says that the stream is its own, and it
// does not know. While it lives nobody else may take the stream, so it must notice. Found by the
// fault suite (seed 8).
import { randomUUID } from 'node:crypto';
import { expect, test } from 'bun:test';
import { systemTime } from '../../src/io/clock.ts';
import { createLog } from '../../src/io/log.ts';
import { type LeaseStore, leaseStore } from '../../src/store/leases.ts';
import { desiredOwner } from '../../src/stream/assignment.ts';
import { LeaseKeeper, allStreams } from '../../src/stream/lease.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('lost_lease');
const world = { time: systemTime, random: Math.random, log: createLog('test', 'fatal') };

function storeOf(worker: string): LeaseStore {
  const options = { instance: randomUUID(), leaseMs: 2_000, streams: allStreams };
  return leaseStore(stack.sql, { worker, ...options });
}

function keeperOf(worker: string, store: LeaseStore): LeaseKeeper {
  return new LeaseKeeper({ worker, store, renewMs: 100, world, onSuperseded() {} });
}

test('a lease whose reply was lost does not keep the stream from its owner', async () => {
  const [contested] = allStreams.filter((name) => desiredOwner(name, ['one', 'two']) === 'two');
  const store = storeOf('one');
  const two = storeOf('two');
  let asked = 0;
  const losing: LeaseStore = {
    ...store,
    async acquire(stream) {
      if (stream !== contested) return store.acquire(stream);
      if (++asked === 1) return null;
      await store.acquire(stream);
      // The other worker appears before the first one comes to try again.
      await two.renew(true);
      throw new Error('the reply was lost');
    },
  };
  const keepers = [keeperOf('one', losing), keeperOf('two', two)] as const;
  await keepers[0].start();
  await eventually('the reply was lost', () => asked === 2);
  await keepers[1].start();
  await eventually('the stream has its owner', () => keepers[1].owned.has(contested!), 10_000);
  expect(keepers[0].owned.has(contested!)).toBe(false);
  for (const keeper of keepers) await keeper.stop();
}, 30_000);
