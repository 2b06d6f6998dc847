// Streams as Redis keeps them: one consumer group, offsets and settled positions beside them.
// Invariants: trimming never passes the oldest pending entry of any group; a call is one round
// trip, or a few in order. In a Redis without memory, what lets events go goes on: the key of the
// settled position is then late, and put right by the next announcement.
import type { ChainableCommander, Redis } from 'ioredis';
import { isOutOfMemory } from '../io/redis.ts';
import type { ClaimedPage, Conclusion, StreamEntry, StreamFill, StreamStore } from './ports.ts';
import {
  GROUP,
  SETTLED_CHANNEL,
  type StreamId,
  lifeKey,
  offsetKey,
  settledKey,
  streamKey,
  streamName,
} from './topology.ts';

/** Takes: stream, offset counter; our group. Trims below the smallest of: oldest pending id, or
 * last delivered id where nothing is pending, over all groups. Gives: entries left, ms of the
 * oldest id not yet acknowledged (0: none), the oldest id pending in our group ('': none), the last
 * offset given out, and 1 if at this very moment our group has acknowledged every entry there is.
 * Safe to repeat: yes. */
const TRIM = `
local function before(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or (am == bm and as < bs)
end
local last = redis.call('GET', KEYS[2]) or '0'
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, '', last, 0} end
local watermark, oldest, ours, through = nil, nil, '', 0
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  local mark = group['last-delivered-id']
  if tonumber(group['pending']) > 0 then
    mark = redis.call('XPENDING', KEYS[1], group['name'])[2]
    oldest = mark
    if group['name'] == ARGV[1] then ours = mark end
  elseif group['name'] == ARGV[1] then
    local unread = redis.call('XRANGE', KEYS[1], '(' .. mark, '+', 'COUNT', 1)
    if not unread[1] then through = 1 end
  end
  if not watermark or before(mark, watermark) then watermark = mark end
end
if watermark and watermark ~= '0-0' then
  redis.call('XTRIM', KEYS[1], 'MINID', '~', watermark)
end
if not oldest then
  local undelivered = redis.call('XRANGE', KEYS[1], '(' .. (watermark or '0-0'), '+', 'COUNT', 1)
  if undelivered[1] then oldest = undelivered[1][1] end
end
local since = oldest and string.match(oldest, '^(%d+)') or '0'
return {redis.call('XLEN', KEYS[1]), tonumber(since), ours, last, through}
`;

/** Takes: offset counter, life; the settled offset. Raises the counter to it; what was decided by a
 * Redis that does not know all that is settled ends. Gives how far it was behind. */
const RAISE = `
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
local settled = tonumber(ARGV[1])
if held >= settled then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return settled - held
`;

type RawEntry = [id: Buffer, fields: Buffer[] | null];
type RawStream = [key: Buffer, entries: RawEntry[]];

interface Scripts {
  streamTrim(
    stream: string,
    counter: string,
    group: string,
  ): Promise<[length: number, oldestMs: number, pending: string, last: string, through: number]>;
  offsetRaise(counter: string, life: string, settled: number): Promise<number>;
}

const CLAIM_COUNT = 200;

export class RedisStreams implements StreamStore {
  private readonly scripts: Redis & Scripts;

  /** `blocking` is for reads that wait, and nothing else. */
  constructor(
    private readonly redis: Redis,
    private readonly blocking: Redis,
    private readonly consumer: string,
  ) {
    redis.defineCommand('streamTrim', { numberOfKeys: 2, lua: TRIM });
    redis.defineCommand('offsetRaise', { numberOfKeys: 2, lua: RAISE });
    this.scripts = redis as Redis & Scripts;
  }

  async ensureGroup({ topic, partition }: StreamId): Promise<void> {
    try {
      await this.redis.xgroup('CREATE', streamKey(topic, partition), GROUP, '0', 'MKSTREAM');
    } catch (error) {
      // Without memory Redis does not even look whether there is one; the next read will tell.
      if (!String(error).includes('BUSYGROUP') && !isOutOfMemory(error)) throw error;
    }
  }

  async readNew(
    streams: readonly StreamId[],
    options: { count: number; blockMs: number },
  ): Promise<readonly (readonly StreamEntry[])[]> {
    const keys = streams.map(({ topic, partition }) => streamKey(topic, partition));
    const reply = (await this.blocking.callBuffer(
      'XREADGROUP',
      'GROUP',
      GROUP,
      this.consumer,
      'COUNT',
      String(options.count),
      'BLOCK',
      String(options.blockMs),
      'STREAMS',
      ...keys,
      ...keys.map(() => '>'),
    )) as RawStream[] | null;
    const found = new Map((reply ?? []).map(([key, raw]) => [key.toString(), raw]));
    return keys.map((key) => (found.get(key) ?? []).map(entryOf));
  }

  async claim({ topic, partition }: StreamId, cursor: string | null): Promise<ClaimedPage> {
    const [next, raw, deleted] = (await this.redis.callBuffer(
      'XAUTOCLAIM',
      streamKey(topic, partition),
      GROUP,
      this.consumer,
      '0',
      cursor ?? '0-0',
      'COUNT',
      String(CLAIM_COUNT),
    )) as [Buffer, RawEntry[], Buffer[] | undefined];
    return {
      entries: raw.map(entryOf),
      deleted: deleted?.length ?? 0,
      cursor: next.toString() === '0-0' ? null : next.toString(),
    };
  }

  async conclude(conclusions: readonly Conclusion[]): Promise<void> {
    const pipeline = this.redis.pipeline();
    for (const { stream, announced, acknowledge } of conclusions) {
      const { topic, partition } = stream;
      pipeline.set(settledKey(topic, partition), announced);
      pipeline.publish(SETTLED_CHANNEL, `${streamName(topic, partition)}.${announced}`);
      if (acknowledge.length > 0) pipeline.xack(streamKey(topic, partition), GROUP, ...acknowledge);
    }
    await run(pipeline);
  }

  async trim({ topic, partition }: StreamId): Promise<StreamFill> {
    const keys = [streamKey(topic, partition), offsetKey(topic, partition)] as const;
    const [length, oldestMs, oldestPending, last, through] = await this.scripts.streamTrim(
      ...keys,
      GROUP,
    );
    return { length, oldestMs, oldestPending, lastOffset: Number(last), isThrough: through === 1 };
  }

  async raiseOffset({ topic, partition }: StreamId, settled: number): Promise<number> {
    const keys = [offsetKey(topic, partition), lifeKey(topic, partition)] as const;
    return await this.scripts.offsetRaise(...keys, settled);
  }
}

async function run(pipeline: ChainableCommander): Promise<void> {
  const replies = await pipeline.exec();
  for (const [error] of replies ?? []) if (error && !isOutOfMemory(error)) throw error;
}

function entryOf([id, fields]: RawEntry): StreamEntry {
  const named = new Map<string, Buffer>();
  for (let index = 0; fields && index < fields.length; index += 2)
    named.set(fields[index]!.toString(), fields[index + 1]!);
  return {
    id: id.toString(),
    first: Number(named.get('o')?.toString() ?? NaN),
    count: Number(named.get('n')?.toString() ?? NaN),
    blob: named.get('b') ?? Buffer.alloc(0),
  };
}
