// How often payments came lately, by customer, address, device and token: sliding windows in Redis,
// exact up to COUNT_MAX, counted and read in one script.
// Invariant: a payment is counted once, however often it is asked about, and what it is told does
// not depend on what came after it.
import type { Redis } from 'ioredis';
import { COUNT_MAX, type RiskSubject, type Signals } from '../../schemas/risk.ts';
import { type Argument, sendTogether } from '../io/one-write.ts';
import { paidKey } from './history.ts';
import assessScript from './lua/assess.lua' with { type: 'text' };

/** Hashes of what a payment is counted by; null where it has none. */
export type Subjects = Record<RiskSubject, string | null> & { user: string; token: string };

export interface Asked {
  tenant: number;
  paymentId: string;
  customer: string;
  subjects: Subjects;
}

export interface Counted {
  /** The payment was counted before: its request runs again. */
  isRepeat: boolean;
  signals: Signals;
  /** Members of what the customer has paid; see history.ts. */
  paid: string[];
}

/** Of the different customers of a token, and the like. */
const PAIR_MAX = 100;

/** Signal, whose set it is, what is in it. */
const pairs = [
  ['user_tokens_24h', 'user', 'token'],
  ['token_users_24h', 'token', 'user'],
  ['device_users_24h', 'device', 'user'],
] as const;
const counted: readonly RiskSubject[] = ['user', 'ip', 'device', 'token'];

export class Counts {
  constructor(private readonly redis: Redis) {
    redis.defineCommand('riskAssess', { lua: assessScript });
  }

  async take({ tenant, paymentId, customer, subjects }: Asked): Promise<Counted> {
    const tag = `{risk:${tenant}}`;
    const present = counted.filter((subject) => subjects[subject] !== null);
    const paired = pairs.filter(([, owner]) => subjects[owner] !== null);
    const keys = [
      ...present.map((subject) => `${tag}:count:${subject}:${subjects[subject]!}`),
      ...paired.map(([, owner, seen]) => `${tag}:${seen}s-of:${owner}:${subjects[owner]!}`),
      paidKey(tenant, customer),
    ];
    // A text, since a command that holds a buffer is put together from many.
    const payment = Buffer.from(paymentId.slice(4).replaceAll('-', ''), 'hex').toString(
      'base64url',
    );
    const args: Argument[] = [keys.length, ...keys, payment, present.length, COUNT_MAX, PAIR_MAX];
    for (const [, , seen] of paired) args.push(subjects[seen]);
    const reply = (await sendTogether(this.redis, 'riskAssess', args)) as (number | string)[];
    const signals: Signals = {};
    let at = 1;
    for (const subject of present)
      for (const window of ['1m', '1h', '24h'] as const)
        signals[`${subject}_${window}`] = reply[at++] as number;
    for (const [signal] of paired) signals[signal] = reply[at++] as number;
    return { isRepeat: reply[0] === 1, signals, paid: reply.slice(at) as string[] };
  }
}
