// A worker that wakes after its lease ran out may read once more before it hears of it. What it
// takes then is pending in its name, and the new owner must fetch it, whether another entry comes
// after it or not.
import { afterAll, expect, test } from 'bun:test';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { verify } from '../../src/store/verify.ts';
import { GROUP, partitionOf, streamKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('stolen');
const { id: tenant } = await stack.createTenant('stolen');
const engine = await Engine.open(stack, tenant);
const ghost = producerClient(stack.redisUrl, 'ghost');
await redisReady(ghost);
afterAll(() => ghost.disconnect());

const stream = streamKey('events', partitionOf(tenant, 'u_1'));

/** Waits first in line for the stream's next entry, and keeps it. */
async function steal(id: string): Promise<void> {
  const taken = ghost.xreadgroup(
    'GROUP',
    GROUP,
    'ghost',
    'COUNT',
    1,
    'BLOCK',
    1_500,
    'STREAMS',
    stream,
    '>',
  );
  await Bun.sleep(600);
  await engine.append([earning(id, 'u_1', 5)]);
  expect(await taken).not.toBeNull();
}

test('entries that another reader took are settled in their place', async () => {
  await engine.start();
  await engine.append([earning('first', 'u_1', 5)]);
  await engine.settled();
  await steal('stolen');
  await engine.append([earning('next', 'u_1', -7)]);
  expect(await engine.settled(5_000)).toMatchObject({ posted: 3, refused: 0, lost: 0 });
  await steal('last');
  expect(await engine.settled(5_000)).toMatchObject({ posted: 4, lost: 0 });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
  await engine.stop();
}, 60_000);
