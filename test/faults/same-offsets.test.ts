// Redis lost its tail while a worker held entries of it: their offsets are given out again, and
// old and new meet in one batch. Both are posted, and the books of the stream stay right. Found by
// the fault suite (seeds 16 and 32).
import { afterAll, expect, test } from 'bun:test';
import { verify } from '../../src/store/verify.ts';
import { offsetKey, partitionOf } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('same_offsets');
const { id: tenant } = await stack.createTenant('same_offsets');
const engine = await Engine.open(stack, tenant);
// Each remembers what it was given; one that did not append before the loss knows of nothing.
const others = [await Engine.open(stack, tenant), await Engine.open(stack, tenant)] as const;
afterAll(() => Promise.all([engine, ...others].map((each) => each.close())));

const counter = offsetKey('events', partitionOf(tenant, 'u_1'));
const events = (name: string, count: number) =>
  Array.from({ length: count }, (_, n) => earning(`${name}_${n}`, 'u_1', 1));

test('events under offsets that others of their batch have are posted and counted', async () => {
  await engine.append(events('old', 6));
  await engine.redis.decrby(counter, 4);
  await others[0].append(events('new', 3));
  await engine.redis.decrby(counter, 1);
  await others[1].append(events('newer', 5));
  await engine.start();
  expect(await engine.settled()).toMatchObject({ posted: 14, renumbered: 5, lost: 0, settled: 9 });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
  await engine.stop();
}, 60_000);
