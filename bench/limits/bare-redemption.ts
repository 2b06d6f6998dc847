// The limit of T6: the product's own script calls, packed beforehand into batches as a busy ingress
// makes them, sent by a bare client in pipelines, two under way. No HTTP, no key, no terms, no
// encoding of events; the answers are kept under idempotency keys, as the product's are.
import type { Redis } from 'ioredis';
import { type BatchItem, type BatchScript, callOf } from '../../src/cache/redemption-batches.ts';
import { CouponTable } from '../../src/cache/coupon-table.ts';
import { CouponUsage } from '../../src/cache/coupon-usage.ts';
import { RedemptionBook } from '../../src/cache/redemption-book.ts';
import { sweep } from '../../test/coupons/sweep.ts';
import { answerOf } from '../../src/cache/redemption-record.ts';
import {
  RedemptionScripts,
  type Reservation,
  type Settling,
  reservationItem,
  reserveScript,
  settleScript,
  settlingItem,
} from '../../src/cache/redemption-scripts.ts';
import { settleRecord } from '../../src/cache/redemption-settle.ts';
import { fingerprintOf, keptAround, onceOf } from '../../src/http/idempotency.ts';
import { json } from '../../src/http/route.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import type { Stack } from '../../test/services.ts';
import { measureLoop } from '../lib/loop.ts';
import type { Measurement } from '../lib/rounds.ts';
import { couponCode } from '../lib/workloads.ts';

/** About what one turn of a busy ingress's loop brings. */
const PIPELINE = 256;
const PIPELINES = 16;

interface Call {
  script: BatchScript;
  item: BatchItem;
}

/** Writes the calls down and says that all went well. */
class Recorder extends RedemptionScripts {
  readonly calls: Call[] = [];

  override async reserve(reservation: Reservation) {
    this.calls.push({ script: reserveScript, item: reservationItem(reservation) });
    return { word: 'reserved' as const, offset: 0, usage: [{ uses: 1, budgetUsed: 0 }] };
  }

  override async settle(settling: Settling) {
    this.calls.push({ script: settleScript, item: settlingItem(settling) });
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
  await sweep(redis, stack);
  const book = new RedemptionBook(parts);
  let made = 0;
  const redeem = async (): Promise<void> => {
    const n = made++;
    const order = { id: `bare-${n}`, total: { amount: 5_000, currency: 'USD' } };
    const once = onceOf(tenant, 'bare', `bare-${n}`, fingerprintOf('', order));
    const request = {
      ...{ tenant, codes: [couponCode(n % codes)], customer: `c_${n}`, segments: undefined },
      ...{ order, ttlMs: 900_000, commit: !twoSteps, traceparent: null },
    };
    const reserved = await book.reserveOnce(request, (redemption) =>
      keptAround(once, (offset) => json(201, answerOf({ ...redemption, offset }))),
    );
    if (!('redemption' in reserved)) throw new Error('the terms refuse');
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
        return pipelinesOf(scripts.calls.splice(0));
      },
      async run(pipelines) {
        await sendAll(redis, pipelines);
        return PIPELINE * PIPELINES;
      },
    });
  } finally {
    await table.stop();
    redis.disconnect();
  }
}

type ScriptCall = [command: string, args: ReturnType<typeof callOf>];

/** The calls of a pipeline are one for each script and partition, as the product's are. */
function pipelinesOf(calls: readonly Call[]): ScriptCall[][] {
  const pipelines: ScriptCall[][] = [];
  for (let from = 0; from < calls.length; from += PIPELINE) {
    const batches = Object.values(
      Object.groupBy(
        calls.slice(from, from + PIPELINE),
        ({ script, item }) => `${script.command} ${item.partition}`,
      ),
    );
    pipelines.push(
      batches.map((batch) => {
        const { script, item } = batch![0]!;
        const items = batch!.map((call) => call.item);
        return [script.command, callOf({ script, partition: item.partition, items })];
      }),
    );
  }
  return pipelines;
}

async function sendAll(redis: Redis, pipelines: readonly ScriptCall[][]): Promise<void> {
  let before = Promise.resolve();
  for (const calls of pipelines) {
    const sent = send(redis, calls);
    await before;
    before = sent;
  }
  await before;
}

async function send(redis: Redis, calls: readonly ScriptCall[]): Promise<void> {
  const pipeline = redis.pipeline();
  const commands = pipeline as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [command, args] of calls) commands[command]!(...args);
  for (const [error, replies] of (await pipeline.exec()) ?? [])
    for (const [word] of error ? [[error.message]] : (replies as string[][]))
      if (word !== 'reserved' && word !== 'settled') throw new Error(`the script said ${word}`);
}
