// The rules of a tenant that has not set any. Every figure is a guess, kept low enough that no one
// signal holds a payment back by itself: a shop whose server calls for all its buyers has one
// address, and a test token is everybody's.
// Invariant: what holds a payment back is at least two signs that are odd together.
import type { RiskRules } from '../../schemas/risk.ts';

export const defaultRules: RiskRules = {
  thresholds: { review: 500, block: 800 },
  rules: [
    {
      name: 'customer_in_a_hurry',
      when: [{ signal: 'user_1h', at_least: 10 }],
      points: 100,
      reason: '{user_1h} payments of the customer within an hour.',
    },
    {
      name: 'many_tokens',
      when: [{ signal: 'user_tokens_24h', at_least: 4 }],
      points: 300,
      reason: 'The customer has tried {user_tokens_24h} methods within 24 hours.',
    },
    {
      name: 'shared_token',
      when: [{ signal: 'token_users_24h', at_least: 4 }],
      points: 250,
      reason: '{token_users_24h} customers have used the same method within 24 hours.',
    },
    {
      name: 'shared_device',
      when: [{ signal: 'device_users_24h', at_least: 4 }],
      points: 250,
      reason: '{device_users_24h} customers were seen on the device within 24 hours.',
    },
    {
      name: 'busy_device',
      when: [{ signal: 'device_1h', at_least: 20 }],
      points: 200,
      reason: '{device_1h} payments from the device within an hour.',
    },
    {
      name: 'busy_address',
      when: [{ signal: 'ip_1m', at_least: 60 }],
      points: 100,
      reason: '{ip_1m} payments from the address within a minute.',
    },
    {
      name: 'unusual_amount',
      when: [
        { signal: 'amount_deviations', at_least: 4 },
        { signal: 'amount_to_mean', at_least: 3 },
      ],
      points: 300,
      reason: '{amount_to_mean} times what the customer usually pays.',
    },
    {
      name: 'new_device',
      when: [{ signal: 'device_new', at_least: 1 }],
      points: 150,
      reason: 'The customer has never paid from this device.',
    },
    {
      name: 'new_token',
      when: [{ signal: 'token_new', at_least: 1 }],
      points: 100,
      reason: 'The customer has never paid with this method.',
    },
    {
      name: 'no_history_to_go_by',
      when: [{ signal: 'history_known', at_most: 0 }],
      points: 100,
      reason: 'What the customer has paid before could not be read.',
    },
    {
      name: 'known_customer',
      when: [{ signal: 'paid_count', at_least: 10 }],
      points: -100,
      reason: 'The customer has paid {paid_count} times lately.',
    },
  ],
};
