// Payouts of gateways: what they owed us is in the bank.
// Invariant: a payout counts once, by its own id at its gateway.
import type { Static } from '@sinclair/typebox';
import type { SettlementPaid } from '../schemas/payments-events.ts';
import { type Rule, post, refuse } from '../src/ledger/decision.ts';
import { settlementNotice } from './payments-notices.ts';

/** A gateway's payout: what it owed us is in the bank. It counts once, whatever its events are
 * called: a webhook that is not dated can be sent again under another id. */
export const settlementPaid: Rule<Static<(typeof SettlementPaid)['data']>> = {
  type: 'settlement.paid',
  reads: ({ data }) => ({ accounts: [{ account: settlementAccount(data), unit: 'payouts' }] }),
  decide({ data, acceptedAt }, state) {
    const account = settlementAccount(data);
    if (state.balance(account, 'payouts') < 0) return refuse('already_paid');
    const { gateway, amount } = data;
    const legs = [
      { account, unit: 'payouts', amount: -1 },
      { account: 'payments:settlements', unit: 'payouts', amount: 1 },
      { account: 'payments:bank', unit: amount.currency, amount: -amount.amount },
      { account: `gateway:${gateway}:clearing`, unit: amount.currency, amount: amount.amount },
    ];
    return post(legs, [settlementNotice(data, acceptedAt)]);
  },
};

function settlementAccount({
  gateway,
  settlement_id: id,
}: Static<(typeof SettlementPaid)['data']>) {
  return `settlement:${gateway}:${id}`;
}
