// Redis knows offsets whose entries it has lost, and no event comes behind them: as a torn file
// leaves them, or a ledger that was put back older than the streams. They are counted as lost all
// the same. What is only slow, in a stream or with another reader, is not.
import { afterAll, expect, test } from 'bun:test';
import { type Verdict, verify } from '../../src/store/verify.ts';
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

const verdictOf = async (...more: string[]) => {
  const { exitCode, stdout, stderr } = await stack.run('verify', '--json', ...more);
  if (stdout === '') return { exitCode, stderr };
  const { ok, acknowledged, problems } = JSON.parse(stdout) as Verdict;
  return { exitCode, stderr, ok, acknowledged, lost: problems.map(({ detail }) => detail) };
};

test('what an operator has looked at is named no more; what is lost later is', async () => {
  const name = `events.${partition}`;
  const lost = (count: number) => [`stream ${name}: Redis lost ${count} accepted events`];
  expect(await verdictOf()).toMatchObject({ exitCode: 1, acknowledged: 0, lost: lost(11) });
  const reason = (text: string) => ['--acknowledge-lost', '--reason', text];
  const card = reason('the one of 4111 1111 1111 1111');
  for (const wrong of [['--acknowledge-lost'], ['--reason', 'no'], reason(' '), card])
    expect(await verdictOf(...wrong)).toMatchObject({ exitCode: 2 });
  expect(await stack.owner`select from lost_acknowledged`).toHaveLength(0);

  const told = await verdictOf(...reason('sent again by the shop'));
  expect(told).toMatchObject({ exitCode: 0, ok: true, acknowledged: 11, lost: [] });
  expect(told.stderr).toContain(`${name}: 11 lost events acknowledged (7 to 9, 12 to 13, `);
  expect(await verdictOf()).toMatchObject({ exitCode: 0, acknowledged: 11, lost: [] });
  const again = await verdictOf(...reason('once more'));
  expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('nothing is lost') });

  await engine.start();
  await engine.redis.incrby(counter, 4);
  expect(await engine.settled()).toMatchObject({ lost: 15 });
  await engine.stop();
  expect(await verdictOf()).toMatchObject({ exitCode: 1, acknowledged: 11, lost: lost(4) });
  expect(await verdictOf(...reason('a second time'))).toMatchObject({ exitCode: 0, lost: [] });
  const rows = await stack.owner`
    select stream, events::int, positions, reason, actor from lost_acknowledged order by at`;
  expect(rows.map((row) => [row['stream'], row['events'], row['reason']])).toEqual([
    [name, 11, 'sent again by the shop'],
    [name, 4, 'a second time'],
  ]);
  expect(rows[1]!['positions']).toEqual([[21, 24]]);
  expect(rows[0]!['actor']).toMatch(/^cli:/);
}, 60_000);
