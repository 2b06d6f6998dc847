// What a customer has paid lately, kept in Redis and made anew from the payments table where Redis
// has none. A payment there is one text that never changes, so adding it twice changes nothing.
// Invariant: whoever finds the mark `!` sees every payment that was paid, up to KEPT: it is set
// after reading the table, and commits add theirs from before the reading began.
import type { Redis } from 'ioredis';
import type { Signals } from '../../schemas/risk.ts';
import { type Argument, sendTogether } from '../io/one-write.ts';
import type { RecordSlot } from '../ledger/state.ts';
import type { Paid } from '../store/risk.ts';
import type { RecordWatcher } from '../stream/ports.ts';
import paidScript from './lua/paid.lua' with { type: 'text' };

/** So many make a habit; with their texts they fit Redis's compact form of a small set. */
export const PAID_KEPT = 50;
/** Of so many of the newest payments, whatever became of them. */
export const PAID_LOOK_AT = 200;
/** With fewer than these, nothing is usual. */
const HABIT_MIN = 5;

const BEGUN = '?';
const READ = '!';

const paidStatuses: readonly string[] = ['captured', 'partially_refunded', 'refunded'];

export function paidKey(tenant: number, customer: string): string {
  return `{risk:${tenant}}:paid:${customer}`;
}

/** Ids, devices and tokens by enough of them to tell those of one customer apart. */
export function memberOf({
  id,
  currency,
  amount,
  device,
  token,
}: Omit<Paid, 'initiatedMs'>): string {
  const short = Buffer.from(id.replaceAll('-', '').slice(-16), 'hex').toString('base64url');
  return [short, currency, amount, markOf(device), markOf(token)].join('|');
}

/** The part of a hash that a customer's devices and tokens are told apart by. */
export function markOf(hash: string | null | undefined): string {
  return hash?.slice(0, 8) ?? '';
}

/** What is compared with a new payment. */
export interface PaidMember {
  currency: string;
  amount: number;
  device: string;
  token: string;
}

/** Null where nobody has read the table since Redis forgot. */
export function membersRead(members: readonly string[]): PaidMember[] | null {
  if (!members.includes(READ)) return null;
  return members.filter((member) => member !== READ && member !== BEGUN).map(parsed);
}

export function parsed(member: string): PaidMember {
  const [, currency = '', amount = '', device = '', token = ''] = member.split('|');
  return { currency, amount: Number(amount), device, token };
}

/** Of a new payment against what was paid; null: it could not be read. */
export function historySignals(
  paid: readonly PaidMember[] | null,
  now: { amount: number; currency: string; device: string | null; token: string },
): Signals {
  if (!paid) return { history_known: 0 };
  const signals: Signals = { history_known: 1, paid_count: paid.length };
  const amounts = paid.filter(({ currency }) => currency === now.currency);
  if (amounts.length >= HABIT_MIN) Object.assign(signals, unusualness(amounts, now.amount));
  const isNew = (seen: 'device' | 'token', hash: string): number =>
    Number(paid.length > 0 && !paid.some((each) => each[seen] === markOf(hash)));
  if (now.device !== null) signals.device_new = isNew('device', now.device);
  signals.token_new = isNew('token', now.token);
  return signals;
}

function unusualness(paid: readonly PaidMember[], amount: number): Signals {
  const mean = paid.reduce((sum, each) => sum + each.amount, 0) / paid.length;
  const squares = paid.reduce((sum, each) => sum + (each.amount - mean) ** 2, 0);
  // Who always pays the same would be startled by a cent: a twentieth of the mean is no surprise.
  const deviation = Math.max(Math.sqrt(squares / (paid.length - 1)), mean / 20);
  return {
    amount_to_mean: hundredths(amount / mean),
    amount_deviations: hundredths((amount - mean) / deviation),
  };
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Of a payment, as its row has it. */
interface PaymentBody {
  status: string;
  customer_id: string;
  currency: string;
  amount: number;
  initiated_at: string;
  risk: { device?: string; token?: string };
}

export class PaidHistory {
  constructor(private readonly redis: Redis) {
    redis.defineCommand('riskPaid', { numberOfKeys: 1, lua: paidScript });
  }

  /** After the table was read: what it had, and that it was read. */
  async remember(tenant: number, customer: string, paid: readonly Paid[]): Promise<void> {
    const added = paid.flatMap((each) => [each.initiatedMs, memberOf(each)]);
    await this.change(tenant, customer, [...added, '+inf', READ]);
  }

  async change(tenant: number, customer: string, changes: readonly Argument[]): Promise<void> {
    await sendTogether(this.redis, 'riskPaid', [paidKey(tenant, customer), PAID_KEPT, ...changes]);
  }
}

/** For a worker: what a commit has made paid is added, what a dispute has taken back goes. */
export function paidWatcher(redis: Redis): RecordWatcher {
  const history = new PaidHistory(redis);
  return {
    async changed(records) {
      const payments = records.filter(({ table, body }) => table === 'payments' && body !== null);
      await Promise.all(payments.map((slot) => follow(history, slot)));
    },
  };
}

async function follow(history: PaidHistory, { tenant, key, body }: RecordSlot): Promise<void> {
  const payment = body as PaymentBody;
  const { status, customer_id: customer, currency, amount, initiated_at: at, risk } = payment;
  const isPaid = paidStatuses.includes(status);
  if (!isPaid && status !== 'disputed') return;
  const { device = null, token = null } = risk;
  const member = memberOf({ id: key, currency, amount, device, token });
  await history.change(tenant, customer, [isPaid ? Date.parse(at) : '', member]);
}
