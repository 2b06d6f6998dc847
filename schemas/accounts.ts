// Accounts: the generic posting `earning.credited`, and what balances and entries look like.
import { type Static, Type } from '@sinclair/typebox';
import { defineEvent } from './events.ts';
import { AccountPart, ClientId, Currency, Money, Time, closed } from './primitives.ts';

/** Credits (or, with a negative amount, debits) `user:{user_id}:earnings` in `amount.currency`. */
export const EarningCredited = defineEvent({
  type: 'earning.credited',
  domain: 'accounts',
  topic: 'events',
  origin: 'public',
  orderKey: (data) => data.user_id,
  data: closed({
    user_id: AccountPart,
    kind: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$', examples: ['video_completed'] }),
    amount: Money,
    reference: ClientId,
  }),
  examples: [
    {
      user_id: 'u_1',
      kind: 'video_completed',
      amount: { amount: 125, currency: 'USD' },
      reference: 'video_9',
    },
    {
      user_id: 'u_1',
      kind: 'correction',
      amount: { amount: -25, currency: 'USD' },
      reference: 'video_9',
    },
  ],
});

export const accountEvents = [EarningCredited] as const;

/** Units other than money (coupon uses) are lower-case words in the place of the currency. */
export const Amount = closed({
  amount: Type.Integer(),
  currency: Type.Union([Currency, Type.String({ pattern: '^[a-z_]{1,16}$' })]),
});

export const Balance = closed({
  account: Type.String(),
  balance: Amount,
  available: Amount,
  sequence: Type.Integer({ description: 'Number of entries so far; the version of the balance.' }),
  as_of: Time,
});
export type Balance = Static<typeof Balance>;

export const Entry = closed({
  sequence: Type.Integer(),
  transaction_id: Type.String(),
  event_id: Type.String(),
  event_type: Type.String(),
  amount: Amount,
  balance_after: Amount,
  posted_at: Time,
});
export type Entry = Static<typeof Entry>;
