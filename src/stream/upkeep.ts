// Upkeep of owned streams, about once a second: trim what every group has acknowledged, announce
// the settled position again (for listeners that missed it), and notice when Redis has lost its
// tail.
// Invariant: trimming never passes the oldest pending entry of any group.
import type { Redis } from 'ioredis';
import type { Log } from '../io/log.ts';
import type { OwnedStream } from './owned-stream.ts';
import { GROUP, SETTLED_CHANNEL, offsetKey, settledKey, streamKey } from './topology.ts';

/** Takes: stream; our group, our consumer. Trims below the smallest of: oldest pending id, or last
 * delivered id where nothing is pending, over all groups. Gives: entries left, ms of the oldest id
 * not yet acknowledged (0: none), how many entries other consumers of our group hold.
 * Safe to repeat: yes. */
const TRIM = `
local function before(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or (am == bm and as < bs)
end
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, 0} end
local watermark, oldest, elsewhere = nil, nil, 0
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  local mark = group['last-delivered-id']
  if tonumber(group['pending']) > 0 then
    local held = redis.call('XPENDING', KEYS[1], group['name'])
    mark = held[2]
    oldest = mark
    for _, consumer in ipairs(group['name'] == ARGV[1] and held[4] or {}) do
      if consumer[1] ~= ARGV[2] then elsewhere = elsewhere + tonumber(consumer[2]) end
    end
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
return {redis.call('XLEN', KEYS[1]), tonumber(since), elsewhere}
`;

/** Takes: offset counter; the settled offset. Raises the counter to it; gives how far it was behind. */
const RAISE = `
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
local settled = tonumber(ARGV[1])
if held >= settled then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return settled - held
`;

export interface StreamHealth {
  name: string;
  length: number;
  /** Age in ms of the oldest entry not acknowledged; 0 when there is none. */
  oldestPendingMs: number;
  /** Events appended and not settled. */
  backlog: number;
}

interface Scripts {
  streamTrim(
    stream: string,
    group: string,
    consumer: string,
  ): Promise<[length: number, oldest: number, elsewhere: number]>;
  offsetRaise(counter: string, settled: number): Promise<number>;
}

export class Upkeep {
  private readonly scripts: Redis & Scripts;

  constructor(
    private readonly redis: Redis,
    private readonly log: Log,
    private readonly now: () => number,
    private readonly consumer: string,
  ) {
    redis.defineCommand('streamTrim', { numberOfKeys: 1, lua: TRIM });
    redis.defineCommand('offsetRaise', { numberOfKeys: 1, lua: RAISE });
    this.scripts = redis as Redis & Scripts;
  }

  /** Redis may have forgotten offsets that the ledger has settled: it must not give them again. */
  async raise({ topic, partition, name, settled }: OwnedStream): Promise<void> {
    const forgotten = await this.scripts.offsetRaise(offsetKey(topic, partition), settled);
    if (forgotten > 0)
      this.log.error({ stream: name, forgotten }, 'Redis lost its tail: it forgot settled offsets');
  }

  /** Rejects when Redis is away. */
  async tend(stream: OwnedStream): Promise<StreamHealth> {
    const { topic, partition, name } = stream;
    await this.raise(stream);
    if (stream.recovered) {
      await this.redis.set(settledKey(topic, partition), stream.announced);
      await this.redis.publish(SETTLED_CHANNEL, `${name}.${stream.announced}`);
    }
    const [length, oldest, elsewhere] = await this.scripts.streamTrim(
      streamKey(topic, partition),
      GROUP,
      this.consumer,
    );
    // A worker that woke too late has read once more: what it took is ours to claim.
    if (elsewhere > 0) stream.recovered = false;
    const last = Number((await this.redis.get(offsetKey(topic, partition))) ?? 0);
    return {
      name,
      length,
      oldestPendingMs: oldest === 0 ? 0 : Math.max(0, this.now() - oldest),
      backlog: Math.max(0, last - stream.settled),
    };
  }
}
