// Rules of the generic posting: an earning is a credit from the platform to the user, a negative
// one a debit back to it, which the floor of the user's account may refuse.
import type { Static } from '@sinclair/typebox';
import type { EarningCredited } from '../schemas/accounts.ts';
import { type Rule, post, refuse } from '../src/ledger/decision.ts';

type Earning = Static<(typeof EarningCredited)['data']>;

const earningCredited: Rule<Earning> = {
  type: 'earning.credited',

  reads: ({ data }) =>
    data.amount.amount < 0
      ? { accounts: [{ account: userAccount(data), unit: data.amount.currency }] }
      : {},

  decide({ data }) {
    const { amount, currency: unit } = data.amount;
    if (amount === 0) return refuse('zero_amount');
    return post([
      { account: 'platform:earnings', unit, amount: -amount },
      { account: userAccount(data), unit, amount },
    ]);
  },
};

function userAccount(data: Earning): string {
  return `user:${data.user_id}:earnings`;
}

export const accountRules: readonly Rule<never>[] = [earningCredited];
