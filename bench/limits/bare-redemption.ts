// The limit of T6: the product's own script calls, written down beforehand, sent by a bare client
// in pipelines, two under way. No HTTP, no key, no idempotency, no terms, no encoding of events.
import type { Redis } from 'ioredis';
import { CouponTable } from '../../src/cache/coupon-table.ts';
import { CouponUsage } from '../../src/cache/coupon-usage.ts';
import reserve from '../../src/cache/lua/reserve.lua' with { type: 'text' };
import settle from '../../src/cache/lua/settle.lua' with { type: 'text' };
import { RedemptionBook } from '../../src/cache/redemption-book.ts';
import { openIfUnused } from '../../src/cache/redemption-life.ts';
import { RedemptionScripts } from '../../src/cache/redemption-scripts.ts';
import { settleRecord } from '../../src/cache/redemption-settle.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { PARTITIONS } from '../../src/stream/topology.ts';
import type { Stack } from '../../test/services.ts';
import { measureLoop } from '../lib/loop.ts';
import type { Measurement } from '../lib/rounds.ts';
import { couponCode } from '../lib/workloads.ts';

/** About what one turn of a busy ingress's loop brings. */
const PIPELINE = 256;
const PIPELINES = 16;

interface Call {
  script: 'reserve' | 'settle';
  keys: readonly string[];
  args: readonly (string | number | Buffer)[];
}

/** Writes the calls down and says that all went well. */
class Recorder extends RedemptionScripts {
  readonly calls: Call[] = [];

  override async reserve(keys: Call['keys'], args: Call['args']) {
    this.calls.push({ script: 'reserve', keys, args });
    return { word: 'reserved' as const, offset: 0, usage: [{ uses: 1, budgetUsed: 0 }] };
  }

  override async settle(keys: Call['keys'], args: Call['args']) {
    this.calls.push({ script: 'settle', keys, args });
    return { word: 'settled' as const, offset: 0 };
  }
}

export interface BareRedemptions {
  seconds: number;
  codes: number;
  /** Reserve first, commit with a second call. */
  twoSteps: boolean;
}

export async function measureBareRedemptions(
  stack: Stack,
  tenant: number,
  { seconds, codes, twoSteps }: BareRedemptions,
): Promise<Measurement> {
  const redis = producerClient(stack.redisUrl, 'bare');
  await redisReady(redis);
  const table = new CouponTable();
  await table.follow(stack.sql);
  const scripts = new Recorder(redis);
  const usage = new CouponUsage(redis, stack.sql);
  const parts = { scripts, sql: stack.sql, table, usage };
  for (let partition = 0; partition < PARTITIONS; partition++) await openIfUnused(parts, partition);
  const send = await sender(redis);
  const book = new RedemptionBook(parts);
  let made = 0;
  const redeem = async (): Promise<void> => {
    const n = made++;
    const order = { id: `bare-${n}`, total: { amount: 5_000, currency: 'USD' } };
    const reserved = await book.reserve({
      ...{ tenant, codes: [couponCode(n % codes)], customer: `c_${n}`, segments: undefined },
      ...{ order, ttlMs: 900_000, commit: !twoSteps, traceparent: null },
    });
    if ('refused' in reserved) throw new Error(`the terms refuse: ${reserved.refused}`);
    const { id, record } = reserved.redemption;
    const origin = { now: Date.now(), traceparent: null };
    if (twoSteps) await settleRecord(parts, id, record, 'committed', origin);
  };
  try {
    return await measureLoop({
      seconds,
      timed: `${PIPELINES} pipelines of ${PIPELINE}`,
      watched: { redis: stack.redisPid },
      async prepare() {
        for (let n = 0; n < PIPELINE * PIPELINES; n++) await redeem();
        return scripts.calls.splice(0);
      },
      async run(calls) {
        await send(calls);
        return PIPELINE * PIPELINES;
      },
    });
  } finally {
    await table.stop();
    redis.disconnect();
  }
}

async function sender(redis: Redis): Promise<(calls: readonly Call[]) => Promise<void>> {
  const load = async (lua: string): Promise<string> => (await redis.script('LOAD', lua)) as string;
  const hashes = { reserve: await load(reserve), settle: await load(settle) };
  const sendOne = async (calls: readonly Call[]): Promise<void> => {
    const pipeline = redis.pipeline();
    for (const { script, keys, args } of calls)
      pipeline.evalsha(hashes[script], keys.length, ...keys, ...args);
    for (const [error, reply] of (await pipeline.exec()) ?? []) {
      const word = (reply as string[] | undefined)?.[0];
      if (error || (word !== 'reserved' && word !== 'settled'))
        throw new Error(`the script said ${error?.message ?? word}`);
    }
  };
  return async (calls) => {
    let before = Promise.resolve();
    for (let from = 0; from < calls.length; from += PIPELINE) {
      const sent = sendOne(calls.slice(from, from + PIPELINE));
      await before;
      before = sent;
    }
    await before;
  };
}
