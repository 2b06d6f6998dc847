// Every rule of every domain, by event name. One name has one rule.
import type { Domain } from '../schemas/domains.ts';
import type { Rule } from '../src/ledger/decision.ts';
import { accountRules } from './accounts.ts';
import { couponRules } from './coupons.ts';
import { gameRules } from './games.ts';
import { paymentRules } from './payments.ts';
import { webhookRules } from './webhooks.ts';

const rulesByDomain: Record<Domain, readonly Rule<never>[]> = {
  accounts: accountRules,
  coupons: couponRules,
  games: gameRules,
  payments: paymentRules,
  webhooks: webhookRules,
};

/** A rule's data type is that of its event; the codec has checked it before a rule sees it. */
export const rules: ReadonlyMap<string, Rule> = new Map(
  Object.values(rulesByDomain)
    .flat()
    .map((rule) => [rule.type, rule as unknown as Rule]),
);
