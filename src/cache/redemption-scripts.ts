// The scripts of redemptions as typed calls. What Redis says is one of a few words, here turned
// into a union; a Redis that does not answer is AppendRefused, since it may have appended.
import type { Redis } from 'ioredis';
import type { RefusalReason } from '../../schemas/coupons.ts';
import { type Argument, sendTogether } from '../io/one-write.ts';
import { AppendRefused } from '../stream/append.ts';
import adopt from './lua/adopt.lua' with { type: 'text' };
import due from './lua/due.lua' with { type: 'text' };
import reserve from './lua/reserve.lua' with { type: 'text' };
import seedCoupon from './lua/seed-coupon.lua' with { type: 'text' };
import seedCustomer from './lua/seed-customer.lua' with { type: 'text' };
import seedRedemption from './lua/seed-redemption.lua' with { type: 'text' };
import settle from './lua/settle.lua' with { type: 'text' };

const scripts = { reserve, settle, due, adopt, seedCoupon, seedCustomer, seedRedemption } as const;
type Script = keyof typeof scripts;

/** Names of the commands that ioredis makes of the scripts. */
const commandOf = Object.fromEntries(
  Object.keys(scripts).map((name) => [name, `coupon${name[0]!.toUpperCase()}${name.slice(1)}`]),
) as Record<Script, string>;

/** `index` counts codes from 0. */
export type ReserveReply =
  | { word: 'reserved'; offset: number; usage: { uses: number; budgetUsed: number }[] }
  | { word: 'held'; key: string }
  | { word: 'closed' | 'cold' | 'stale'; index: number }
  | { word: 'customer_cold'; index: number; moves: string }
  | { word: 'balance'; index: number; left: number }
  | { word: 'refused'; index: number; reason: RefusalReason };

export type SettleRefusal = 'expired' | 'already_released';
export type SettleReply =
  | { word: 'settled'; offset: number }
  | { word: 'unchanged' | 'missing' }
  | { word: 'refused'; reason: SettleRefusal }
  | { word: 'cold'; index: number };

export class RedemptionScripts {
  constructor(readonly redis: Redis) {
    for (const name of Object.keys(scripts) as Script[])
      redis.defineCommand(commandOf[name], { lua: scripts[name] });
  }

  async reserve(keys: readonly string[], args: readonly Argument[]): Promise<ReserveReply> {
    const [word, first, second, ...rest] = (await this.run('reserve', keys, args)) as string[];
    const index = Number(first) - 1;
    switch (word) {
      case 'reserved':
        return { word, offset: Number(first), usage: pairs([second!, ...rest]) };
      case 'held':
        return { word, key: first! };
      case 'closed':
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

  async settle(keys: readonly string[], args: readonly Argument[]): Promise<SettleReply> {
    const [word, first] = (await this.run('settle', keys, args)) as string[];
    switch (word) {
      case 'settled':
        return { word, offset: Number(first) };
      case 'unchanged':
      case 'missing':
        return { word };
      case 'refused':
        return { word, reason: first as SettleRefusal };
      case 'cold':
        return { word, index: Number(first) - 1 };
      default:
        throw new Error(`settle.lua answered ${word}`);
    }
  }

  async due(key: string, limit: number): Promise<{ key: string; record: string | null }[]> {
    const reply = (await this.run('due', [key], [limit])) as (string | null)[];
    const found: { key: string; record: string | null }[] = [];
    for (let index = 0; index < reply.length; index += 2)
      found.push({ key: reply[index]!, record: reply[index + 1] ?? null });
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

  private run(name: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const all = [keys.length, ...keys, ...args];
    return orAppendRefused(sendTogether(this.redis, commandOf[name], all));
  }
}

/** A fault of Redis becomes AppendRefused; a fault of a script stays what it is. */
export async function orAppendRefused<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
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

function pairs(flat: readonly string[]): { uses: number; budgetUsed: number }[] {
  const result: { uses: number; budgetUsed: number }[] = [];
  for (let index = 0; index < flat.length; index += 2)
    result.push({ uses: Number(flat[index]), budgetUsed: Number(flat[index + 1]) });
  return result;
}
