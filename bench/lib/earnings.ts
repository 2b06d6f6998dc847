// The events of the ledger bench: earnings of Zipf-distributed users, the platform's account in
// every one, and every twentieth a debit, so that floors are loaded and checked.
import { seededRandom, zipf } from './zipf.ts';

export interface Earning {
  id: string;
  user: string;
  amount: number;
}

export const DEBIT_EVERY = 20;

export function earnings(count: number, users: number, run: string): Earning[] {
  const draw = zipf(users, seededRandom(20_260_131));
  return Array.from({ length: count }, (_, n) => ({
    id: `${run}-${n}`,
    user: `u_${draw()}`,
    amount: n % DEBIT_EVERY === DEBIT_EVERY - 1 ? -1 : 125,
  }));
}

export function earningData({ user, amount }: Earning) {
  return {
    user_id: user,
    kind: 'video_completed',
    amount: { amount, currency: 'USD' },
    reference: 'video_9',
  };
}
