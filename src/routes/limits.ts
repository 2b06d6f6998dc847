// Rate limits as a tenant sees and sets them. A change holds for requests within 2 s.
// Invariant: a quota is a whole number of tokens in a whole number of seconds, or none at all.
import { type Static, Type } from '@sinclair/typebox';
import { closed, nullable } from '../../schemas/primitives.ts';
import { effectiveQuotas } from '../http/limits.ts';
import {
  type Policy,
  type PolicyName,
  type Quota,
  policies,
  policyNames,
} from '../http/policies.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { limitsOf, putLimits } from '../store/limits.ts';

const QuotaShape = closed({
  quota: Type.Integer({ minimum: 1, maximum: 100_000_000 }),
  window_s: Type.Integer({ minimum: 1, maximum: 86_400 }),
});

const quota = Type.Optional(nullable(QuotaShape));
const QuotasShape = closed(
  { user: quota, ip: quota, tenant: quota, key: quota },
  { description: 'Null lifts a quota; one that is left out keeps its default.' },
);
type QuotasShape = Static<typeof QuotasShape>;

const PolicyShape = closed({
  policy: Type.String({ enum: [...policyNames] }),
  about: Type.String(),
  when_redis_is_away: Type.Union([Type.Literal('open'), Type.Literal('closed')]),
  quotas: closed({ user: quota, ip: quota, tenant: quota, key: quota }),
});

const admin = { tag: 'limits', scope: 'admin', limit: 'requests' } as const;

export function limitRoutes({ sql }: { sql: Sql }): Route[] {
  const list = defineRoute({
    ...admin,
    name: 'listLimits',
    method: 'GET',
    path: '/v1/limits',
    summary: 'Every limit, as it holds for the tenant',
    answers: {
      200: { description: 'All policies.', schema: closed({ data: Type.Array(PolicyShape) }) },
    },
    examples: [{ name: 'all', status: 200 }],
    async handler({ tenant }) {
      const overrides = (await limitsOf(sql, tenant)) as Record<string, unknown>;
      return json(200, { data: policyNames.map((name) => shown(name, overrides[name])) });
    },
  });

  const put = defineRoute({
    ...admin,
    name: 'putLimit',
    method: 'PUT',
    path: '/v1/limits/{policy}',
    summary: 'Set the quotas of a policy; null lifts it',
    params: closed({ policy: Type.Union(policyNames.map((name) => Type.Literal(name))) }),
    body: nullable(QuotasShape),
    answers: { 200: { description: 'As it holds from now on.', schema: PolicyShape } },
    examples: [
      {
        name: 'a higher quota',
        status: 200,
        params: { policy: 'redemptions' },
        body: { user: { quota: 1_000, window_s: 60 }, ip: null },
      },
      { name: 'no limit', status: 200, params: { policy: 'partners' }, body: null },
    ],
    async handler({ tenant, key, params, body }) {
      await putLimits(sql, tenant, params.policy, body, `key:${key.id}`);
      return json(200, shown(params.policy, body));
    },
  });

  return [list, put];
}

function shown(name: PolicyName, override: unknown): Static<typeof PolicyShape> {
  const policy: Policy = policies[name];
  const quotas: QuotasShape = {};
  for (const [subject, given] of Object.entries(effectiveQuotas(policy, override)))
    quotas[subject as keyof QuotasShape] = quotaShape(given);
  const { about, whenRedisAway } = policy;
  return { policy: name, about, when_redis_is_away: whenRedisAway, quotas };
}

function quotaShape({ quota: tokens, windowS }: Quota) {
  return { quota: tokens, window_s: windowS };
}
