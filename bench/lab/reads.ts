// `npm run bench -- reads [--events n] [--rounds n]`: what reading through a consumer group costs
// Redis, against plain reads whose offset is kept elsewhere. The same streams are read in turns.
import type { Redis } from 'ioredis';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { GROUP, PARTITIONS, streamKey } from '../../src/stream/topology.ts';
import { openServices } from '../../test/services.ts';
import { readOptions } from '../lib/arguments.ts';
import { fill } from '../lib/backlog.ts';
import { earnings } from '../lib/earnings.ts';
import { markdownTable } from '../lib/goals.ts';
import { usageOf } from '../lib/machine.ts';
import { saveText } from '../lib/results.ts';

type Entries = [key: Buffer, entries: [id: Buffer, fields: Buffer[]][]][] | null;
type Read = (redis: Redis, after: string[]) => Promise<Entries>;

/** A worker's reads: up to 2,000 events from eight streams at once. */
const COUNT = '3';
const keys = Array.from({ length: PARTITIONS }, (_, n) => streamKey('events', n));

const byGroup: Read = async (redis) => {
  const read = (await redis.callBuffer(
    ...(['XREADGROUP', 'GROUP', GROUP, 'reader', 'COUNT', COUNT, 'STREAMS'] as const),
    ...[...keys, ...keys.map(() => '>')],
  )) as Entries;
  if (!read) return null;
  const pipeline = redis.pipeline();
  for (const [key, entries] of read)
    pipeline.xack(key.toString(), GROUP, ...entries.map(([id]) => id.toString()));
  await pipeline.exec();
  return read;
};

const byOffset: Read = async (redis, after) =>
  (await redis.callBuffer('XREAD', 'COUNT', COUNT, 'STREAMS', ...keys, ...after)) as Entries;

const standard = { events: 400_000, rounds: 5 };

export async function readsBench(args: readonly string[]): Promise<number> {
  const { events, rounds } = readOptions(args, standard);
  const stack = await openServices('reads');
  const redis = producerClient(stack.redisUrl, 'bench');
  const found: Record<string, Cost[]> = {
    'group and acknowledgement': [],
    'offset kept apart': [],
  };
  try {
    await redisReady(redis);
    await fill(redis, earnings(events, 100_000, 'evt', 'zipf'));
    for (let round = 0; round < rounds; round++) {
      for (const key of keys) {
        await redis.xgroup('DESTROY', key, GROUP);
        await redis.xgroup('CREATE', key, GROUP, '0');
      }
      found['group and acknowledgement']!.push(await cost(redis, stack.redisPid, events, byGroup));
      found['offset kept apart']!.push(await cost(redis, stack.redisPid, events, byOffset));
    }
  } finally {
    redis.disconnect();
    await stack.close();
  }
  const text = markdownTable(
    ['reads', 'events/s', 'Redis CPU µs an event', 'log bytes an event'],
    Object.entries(found).map(([name, costs]) => [name, ...middleOf(costs)]),
  );
  console.log(`${text}\nsaved in ${await saveText('reads.md', text)}`);
  return 0;
}

interface Cost {
  perSecond: number;
  cpuUs: number;
  logBytes: number;
}

async function cost(redis: Redis, pid: number, events: number, read: Read): Promise<Cost> {
  const after = keys.map(() => '0');
  const [cpu, log, startMs] = [usageOf(pid).cpuSeconds, await logBytes(redis), performance.now()];
  for (let entries = await read(redis, after); entries; entries = await read(redis, after))
    for (const [key, list] of entries)
      after[keys.indexOf(key.toString())] = list.at(-1)![0].toString();
  const seconds = (performance.now() - startMs) / 1000;
  return {
    perSecond: events / seconds,
    cpuUs: ((usageOf(pid).cpuSeconds - cpu) * 1e6) / events,
    logBytes: ((await logBytes(redis)) - log) / events,
  };
}

async function logBytes(redis: Redis): Promise<number> {
  const info = await redis.info('persistence');
  return Number(/aof_current_size:(\d+)/.exec(info)?.[1] ?? Number.NaN);
}

function middleOf(costs: readonly Cost[]): string[] {
  const middle = (of: (cost: Cost) => number): number =>
    costs.map(of).toSorted((a, b) => a - b)[costs.length >> 1]!;
  return [
    Math.round(middle(({ perSecond }) => perSecond)).toLocaleString('en'),
    middle(({ cpuUs }) => cpuUs).toFixed(2),
    middle(({ logBytes: bytes }) => bytes).toFixed(1),
  ];
}
