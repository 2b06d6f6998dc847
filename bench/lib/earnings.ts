// The events of the ledger benches: earnings of users by a given law, the platform's account in
// every one, and every twentieth a debit, so that floors are loaded and checked. A debit takes from
// a user who was paid shortly before, so all of them are covered.
import { EarningCredited } from '../../schemas/accounts.ts';
import type { Appender } from '../../src/stream/append.ts';
import { encodeEvent } from '../../src/stream/codec.ts';
import { partitionOf } from '../../src/stream/topology.ts';
import { seededRandom, uniform, zipf } from './zipf.ts';

export interface Earning {
  id: string;
  user: string;
  amount: number;
}

export type Law = 'zipf' | 'uniform';

export const DEBIT_EVERY = 20;
/** Entries of one of these events. */
export const LEGS = 2;
const SEED = 20_260_131;
/** Further back than a debit is from the one before, so what is found there is a credit. */
const PAID_BEFORE = 10;

export function earnings(count: number, users: number, run: string, law: Law = 'zipf'): Earning[] {
  const next = earningSource(users, run, law);
  return Array.from({ length: count }, next);
}

/** One after the other without end; ids of two sources differ when their runs do. */
export function earningSource(
  users: number,
  run: string,
  law: Law = 'zipf',
  seed = SEED,
): () => Earning {
  const draw = (law === 'zipf' ? zipf : uniform)(users, seededRandom(seed));
  const drawn = new Int32Array(DEBIT_EVERY);
  let n = 0;
  return () => {
    const isDebit = n % DEBIT_EVERY === DEBIT_EVERY - 1;
    const place = n % DEBIT_EVERY;
    drawn[place] = isDebit ? drawn[place - PAID_BEFORE]! : draw();
    const user = `u_${drawn[place]}`;
    return { id: `${run}-${n++}`, user, amount: isDebit ? -1 : 125 };
  };
}

export function* take(next: () => Earning, count: number): Generator<Earning> {
  for (let n = 0; n < count; n++) yield next();
}

export function earningData({ user, amount }: Earning) {
  return {
    user_id: user,
    kind: 'video_completed',
    amount: { amount, currency: 'USD' },
    reference: 'video_9',
  };
}

/** Into its stream, as the ingress would put it there. */
export function appendEarning(
  appender: Appender,
  tenant: number,
  earning: Earning,
): Promise<number> {
  const { id } = earning;
  const data = earningData(earning);
  const tuple = encodeEvent(EarningCredited, { tenant, id, acceptedAt: Date.now(), data });
  return appender.append('events', partitionOf(tenant, EarningCredited.orderKey(data)), tuple);
}
