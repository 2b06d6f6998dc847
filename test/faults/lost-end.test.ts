// Redis knows offsets whose entries it has lost, and no event comes behind them: as a torn file
// leaves them, or a ledger that was put back older than the streams. They are counted as lost all
// the same. What is only slow, in a stream or with another reader, is not.
import { afterAll, expect, test } from 'bun:test';
import { verify } from '../../src/store/verify.ts';
import { RedisStreams } from '../../src/stream/redis-streams.ts';
import { GROUP, offsetKey, partitionOf, settledKey, streamKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('lost_end');
const { id: tenant } = await stack.createTenant('lost_end');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());

const partition = partitionOf(tenant, 'u_1');
const stream = { topic: 'events', partition } as const;
const [key, counter] = [streamKey('events', partition), offsetKey('events', partition)];
const events = (name: string, count: number) =>
  Array.from({ length: count }, (_, n) => earning(`${name}_${n}`, 'u_1', 1));

test('what is gone at the end of a stream is counted without an event behind it', async () => {
  await engine.append(events('first', 6));
  await engine.start();
  await engine.settled();
  // The first half of an append: the offset is given out, the entry is not there.
  await engine.redis.incrby(counter, 3);
  expect(await engine.settled()).toMatchObject({ posted: 6, lost: 3, settled: 9 });
  const { pending, problems } = await verify(engine.redis, stack.sql);
  expect(pending).toBe(0);
  expect(problems).toEqual([
    { check: 'lost', detail: `stream events.${partition}: Redis lost 3 accepted events` },
  ]);
  expect(await engine.append(events('next', 2))).toEqual([10, 11]);
  expect(await engine.settled()).toMatchObject({ posted: 8, lost: 3, renumbered: 0, settled: 11 });
  await eventually('whoever waits is told', async () => {
    return (await engine.redis.get(settledKey('events', partition))) === '11';
  });
  await engine.stop();
}, 60_000);

test('an entry that nobody has read, or that is not acknowledged, is not gone', async () => {
  const reader = engine.redis.duplicate();
  const streams = new RedisStreams(engine.redis, reader, 'another');
  const look = async (): Promise<[number, boolean]> => {
    const { lastOffset, isThrough } = await streams.trim(stream);
    return [lastOffset, isThrough];
  };
  expect(await look()).toEqual([11, true]);
  await engine.append(events('slow', 2));
  expect(await look()).toEqual([13, false]);
  await engine.append(events('slower', 1));
  const [read] = await streams.readNew([stream], { count: 1, blockMs: 10 });
  expect(await look()).toEqual([14, false]);
  // The rest of the stream is still unread.
  await engine.redis.xack(key, GROUP, read![0]!.id);
  expect(await look()).toEqual([14, false]);
  reader.disconnect();

  // Acknowledged and in no ledger, as where Postgres has lost commits: gone. The unread one is not.
  await engine.start();
  expect(await engine.settled()).toMatchObject({ posted: 9, lost: 5, settled: 14 });
  await engine.stop();
}, 60_000);

test('of two workers, only the one that holds the stream counts', async () => {
  await engine.start({ name: 'one' });
  const other = await Engine.open(stack, tenant);
  await other.start({ name: 'two' });
  for (let round = 1; round <= 3; round++) {
    await engine.redis.incrby(counter, 2);
    expect(await engine.settled()).toMatchObject({ lost: 5 + 2 * round, renumbered: 0 });
    if (round === 2) await other.stop();
  }
  expect((await verify(engine.redis, stack.sql)).problems.map(({ check }) => check)).toEqual([
    'lost',
  ]);
  await other.close();
  await engine.stop();
}, 60_000);
