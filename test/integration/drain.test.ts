// A worker that is stopped under load settles what is in hand, and says so.
import { afterAll, expect, test } from 'bun:test';
import { verify } from '../../src/store/verify.ts';
import { settledKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('drain');
const { id: tenant } = await stack.createTenant('drain');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());

const EVENTS = 30_000;

test('what it committed is announced, to the last write that was under way', async () => {
  const events = Array.from({ length: EVENTS }, (_, n) => earning(`e_${n}`, `u_${n % 400}`, 1));
  for (let index = 0; index < EVENTS; index += 2_000)
    await engine.append(events.slice(index, index + 2_000));
  await engine.start();
  while ((await engine.counters()).settled < 3_000) await Bun.sleep(2);
  await engine.stop();

  expect((await engine.counters()).settled).toBeLessThan(EVENTS);
  const rows = await stack.owner`select stream, settled from streams where stream like 'events.%'`;
  for (const row of rows) {
    const partition = Number((row['stream'] as string).split('.')[1]);
    const told = await engine.redis.get(settledKey('events', partition));
    expect([row['stream'], Number(told ?? 0)]).toEqual([row['stream'], Number(row['settled'])]);
  }
  await engine.start();
  expect(await engine.settled(60_000)).toMatchObject({ posted: EVENTS, duplicate: 0, lost: 0 });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
}, 120_000);
