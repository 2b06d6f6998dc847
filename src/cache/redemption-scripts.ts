// The scripts of redemptions as typed calls. What Redis says is one of a few words, here turned
// into a union; a Redis that does not answer is AppendRefused, since it may have appended.
import type { Redis } from 'ioredis';
import type { RedemptionStatus, RefusalReason } from '../../schemas/coupons.ts';
import { type Argument, sendTogether } from '../io/one-write.ts';
import { TooFewReplicas } from '../io/replicas.ts';
import { AppendRefused } from '../stream/append.ts';
import adopt from './lua/adopt.lua' with { type: 'text' };
import batch from './lua/batch.lua' with { type: 'text' };
import drain from './lua/drain.lua' with { type: 'text' };
import due from './lua/due.lua' with { type: 'text' };
import forget from './lua/forget.lua' with { type: 'text' };
import given from './lua/given.lua' with { type: 'text' };
import life from './lua/life.lua' with { type: 'text' };
import open from './lua/open.lua' with { type: 'text' };
import opening from './lua/opening.lua' with { type: 'text' };
import reserve from './lua/reserve.lua' with { type: 'text' };
import seedCoupon from './lua/seed-coupon.lua' with { type: 'text' };
import seedCustomer from './lua/seed-customer.lua' with { type: 'text' };
import seedRedemption from './lua/seed-redemption.lua' with { type: 'text' };
import settle from './lua/settle.lua' with { type: 'text' };
import { type BatchItem, type BatchScript, RedemptionBatches } from './redemption-batches.ts';
import type { CodeKeys } from './redemption-keys.ts';

/** How long Redis remembers a settled redemption; after that Postgres answers. */
export const SETTLED_MEMORY_MS = 60 * 60 * 1_000;
/** How long a settled order is known to have used a code, when it comes again. */
export const ORDER_MEMORY_MS = 24 * 60 * 60 * 1_000;
/** How long the answer of a request is given again; see http/idempotency.ts. */
export const ANSWER_MEMORY_MS = 24 * 60 * 60 * 1_000;

const scripts = {
  ...{ due, adopt, given },
  reserve: opening + batch + reserve,
  settle: opening + batch + settle,
  life: opening + life,
  drain: opening + drain,
  open: opening + open,
  forget: opening + forget,
  seedCoupon: opening + seedCoupon,
  seedCustomer: opening + seedCustomer,
  seedRedemption: opening + seedRedemption,
} as const;
type Script = keyof typeof scripts;

/** Names of the commands that ioredis makes of the scripts. */
const commandOf = Object.fromEntries(
  Object.keys(scripts).map((name) => [name, `coupon${name[0]!.toUpperCase()}${name.slice(1)}`]),
) as Record<Script, string>;

export const reserveScript: BatchScript = {
  command: commandOf.reserve,
  args: [SETTLED_MEMORY_MS, ORDER_MEMORY_MS, ANSWER_MEMORY_MS],
};
export const settleScript: BatchScript = {
  command: commandOf.settle,
  args: [SETTLED_MEMORY_MS, ORDER_MEMORY_MS],
};

/** Where the answer to a request is kept, and its text before and after the offset. */
export interface AnswerText {
  slot: string;
  before: string;
  after: string;
}

interface ReservedCode {
  keys: CodeKeys;
  version: number;
  globalLimit: number;
  customerLimit: number;
  budget: number;
  discount: number;
  /** What a gift would give if it held enough; null for other codes. */
  wanted: number | null;
}

/** What reserve.lua takes of a redemption. */
export interface Reservation {
  partition: number;
  answer: AnswerText | null;
  key: string;
  status: RedemptionStatus;
  expiresAt: number;
  customer: string;
  record: string;
  events: readonly Buffer[];
  codes: readonly ReservedCode[];
}

/** What settle.lua takes of a redemption. */
export interface Settling {
  partition: number;
  key: string;
  target: 'committed' | 'released';
  why: string;
  customer: string;
  event: Buffer;
  codes: readonly { keys: CodeKeys; discount: number }[];
}

/** `index` counts codes from 0. */
export type ReserveReply =
  | { word: 'reserved'; offset: number; usage: { uses: number; budgetUsed: number }[] }
  | { word: 'answered'; text: string }
  | { word: 'held'; key: string }
  | { word: 'closed' }
  | { word: 'cold' | 'stale'; index: number }
  | { word: 'customer_cold'; index: number; moves: string }
  | { word: 'balance'; index: number; left: number }
  | { word: 'refused'; index: number; reason: RefusalReason };

export type SettleRefusal = 'expired' | 'already_released';
export type SettleReply =
  | { word: 'settled'; offset: number }
  | { word: 'unchanged' | 'missing' | 'closed' }
  | { word: 'refused'; reason: SettleRefusal }
  | { word: 'cold'; index: number };

export class RedemptionScripts {
  private readonly batches: RedemptionBatches;

  constructor(readonly redis: Redis) {
    for (const name of Object.keys(scripts) as Script[])
      redis.defineCommand(commandOf[name], { lua: scripts[name] });
    this.batches = new RedemptionBatches(redis);
  }

  /** The last offset that this process was given, by partition. */
  get given(): ReadonlyMap<number, number> {
    return this.batches.given;
  }

  async reserve(reservation: Reservation): Promise<ReserveReply> {
    const reply = await orAppendRefused(
      this.batches.add(reserveScript, reservationItem(reservation)),
    );
    const [word, first, second, ...rest] = reply as [string, ...unknown[]];
    const index = Number(first) - 1;
    switch (word) {
      case 'reserved':
        return { word, offset: Number(first), usage: pairs([second, ...rest]) };
      case 'answered':
        return { word, text: String(first) };
      case 'held':
        return { word, key: String(first) };
      case 'closed':
        return { word };
      case 'cold':
      case 'stale':
        return { word, index };
      case 'customer_cold':
        return { word, index, moves: String(second) };
      case 'balance':
        return { word, index, left: Number(second) };
      case 'refused':
        return { word, index, reason: second as RefusalReason };
      default:
        throw new Error(`reserve.lua answered ${word}`);
    }
  }

  async settle(settling: Settling): Promise<SettleReply> {
    const reply = await orAppendRefused(this.batches.add(settleScript, settlingItem(settling)));
    const [word, first] = reply as [string, unknown];
    switch (word) {
      case 'settled':
        return { word, offset: Number(first) };
      case 'unchanged':
      case 'missing':
      case 'closed':
        return { word };
      case 'refused':
        return { word, reason: first as SettleRefusal };
      case 'cold':
        return { word, index: Number(first) - 1 };
      default:
        throw new Error(`settle.lua answered ${word}`);
    }
  }

  /** Redemption keys and what they hold, null where that is gone. */
  async due(key: string, limit: number): Promise<{ key: string; text: string | null }[]> {
    const reply = (await this.run('due', [key], [limit])) as (string | null)[];
    const found: { key: string; text: string | null }[] = [];
    for (let index = 0; index < reply.length; index += 2)
      found.push({ key: reply[index]!, text: reply[index + 1] ?? null });
    return found;
  }

  /** For scripts that only say whether they did something. */
  async put(
    name: 'adopt' | 'seedCoupon' | 'seedCustomer' | 'seedRedemption',
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<boolean> {
    return Number(await this.run(name, keys, args)) === 1;
  }

  run(name: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const all = [keys.length, ...keys, ...args];
    return orAppendRefused(sendTogether(this.redis, commandOf[name], all));
  }
}

export function reservationItem(reservation: Reservation): BatchItem {
  const { partition, answer, key, status, expiresAt, customer, record, events, codes } =
    reservation;
  const { slot, before, after } = answer ?? { slot: '', before: '', after: '' };
  const values = [
    ...[slot, before, after, key, status, String(expiresAt), customer, record],
    codes.map(({ keys, version, globalLimit, customerLimit, budget, discount, wanted }) => [
      ...[keys.coupon, keys.customers, keys.order, keys.partition],
      ...[version, globalLimit, customerLimit, budget, discount],
      ...[wanted === null ? 0 : 1, wanted ?? 0],
    ]),
  ];
  return { partition, places: codes.map(({ keys }) => keys.partition), events, values };
}

export function settlingItem({
  partition,
  key,
  target,
  why,
  customer,
  event,
  codes,
}: Settling): BatchItem {
  const values = [
    ...[key, target, why, customer],
    codes.map(({ keys, discount }) => [
      ...[keys.coupon, keys.customers, keys.order, keys.partition],
      discount,
    ]),
  ];
  const places = codes.map(({ keys: { partition: place } }) => place);
  return { partition, places, events: [event], values };
}

/** A fault of Redis becomes AppendRefused; a fault of a script stays what it is. */
export async function orAppendRefused<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof TooFewReplicas) throw new AppendRefused('too_few_replicas');
    const { name, message } = error as Error;
    if (name === 'ReplyError' && message.startsWith('OOM')) throw new AppendRefused('redis_full');
    if (
      name === 'ReplyError' &&
      !/^(LOADING|READONLY|MASTERDOWN|BUSY|NOREPLICAS|MISCONF)/.test(message)
    )
      throw error;
    throw new AppendRefused('redis_unavailable');
  }
}

function pairs(flat: readonly unknown[]): { uses: number; budgetUsed: number }[] {
  const result: { uses: number; budgetUsed: number }[] = [];
  for (let index = 0; index < flat.length; index += 2)
    result.push({ uses: Number(flat[index]), budgetUsed: Number(flat[index + 1]) });
  return result;
}
