// Rate-limit policies: names, default quotas and what happens when Redis is away. A tenant's
// settings override them by name: `{"limits": {"redemptions": null, "requests": {"key": …}}}`.
// Invariant: money and publishable keys fail closed, everything else fails open.

/** Whose bucket a quota is: one per user, per IP, per tenant, or per key. */
export const subjects = ['user', 'ip', 'tenant', 'key'] as const;
export type Subject = (typeof subjects)[number];

/** A token bucket: holds `quota` tokens and refills `quota` every `windowS` seconds. */
export interface Quota {
  quota: number;
  windowS: number;
}

export interface Policy {
  about: string;
  quotas: Partial<Record<Subject, Quota>>;
  whenRedisAway: 'open' | 'closed';
}

function perMinute(quota: number): Quota {
  return { quota, windowS: 60 };
}

const money = { user: perMinute(10), ip: perMinute(100), tenant: perMinute(10_000) };

export const policies = {
  requests: {
    about: 'Everything that has no policy of its own.',
    quotas: { key: perMinute(1_000) },
    whenRedisAway: 'open',
  },
  payments: { about: 'Payment commands.', quotas: money, whenRedisAway: 'closed' },
  redemptions: {
    about: 'Reserving, committing and releasing coupons.',
    quotas: money,
    whenRedisAway: 'closed',
  },
  partners: {
    about: 'Setting up partners.',
    quotas: { key: perMinute(1_000) },
    whenRedisAway: 'open',
  },
  checks: { about: 'Coupon checks by a server key.', quotas: {}, whenRedisAway: 'open' },
  events: { about: 'Events by a server key.', quotas: {}, whenRedisAway: 'open' },
  public_checks: {
    about: 'Everything a publishable key may do.',
    quotas: { ip: perMinute(100) },
    whenRedisAway: 'closed',
  },
  webhooks: {
    about: 'Webhooks of a gateway that are signed as they should be; the key is their endpoint.',
    quotas: { key: perMinute(120_000) },
    whenRedisAway: 'open',
  },
  public_unknown_codes: {
    about: 'Codes asked for by a publishable key that do not exist.',
    quotas: { ip: perMinute(20) },
    whenRedisAway: 'closed',
  },
} as const satisfies Record<string, Policy>;

export type PolicyName = keyof typeof policies;
export const policyNames = Object.keys(policies) as PolicyName[];
