// Rate limits: token buckets in Redis, right across processes, through rate-limiter-flexible with a
// script of our own (the library's windows would let twice the quota through at their edges).
// Invariant: within any time T a bucket admits at most quota + quota / window * T.
import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Key } from '../cache/keys.ts';
import {
  type Policy,
  type PolicyName,
  type Quota,
  type Subject,
  policies,
  subjects,
} from './policies.ts';
import { type Problem, problem, unavailable } from './problem.ts';

/**
 * GCRA: a bucket is one number, the time in microseconds at which it will be full again.
 * Takes: bucket; points wanted, how many must be there (see Cost), quota, window in s. Gives:
 * points gone from the bucket (more than the quota: refused), and ms until it is full again or,
 * when refused, until there will be as many as must be there. Who wants more than the bucket ever
 * holds empties it and is refused.
 * Safe to repeat: no, each run takes points; a lost reply errs on the side of the limit.
 */
const TAKE = `
local points, quota = tonumber(ARGV[1]), tonumber(ARGV[3])
local among = math.min(tonumber(ARGV[2]), quota)
local window = tonumber(ARGV[4]) * 1000000
local interval = math.ceil(window / quota)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local excess = full + among * interval - now - quota * interval
if excess > 0 then return {quota + 1, math.ceil(excess / 1000)} end
local after = math.min(full + points * interval, now + quota * interval)
if after > now then
  redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
end
if points > quota then return {quota + 1, math.ceil((after - now) / 1000)} end
return {math.ceil((after - now) / interval), math.ceil((after - now) / 1000)}
`;

/**
 * What a request takes. `points` may tell a secret, such as how many of its codes exist: then
 * `among` is the most that it could have been. A bucket that holds less refuses, whatever `points`
 * is, so that a refusal tells nothing and no refusal is free of charge for having guessed wrong.
 */
export interface Cost {
  points: number;
  among: number;
}

const ONE: Cost = { points: 1, among: 1 };

interface Bucket {
  name: string;
  subject: Subject;
  /** The item of RateLimit-Policy. */
  policyItem: string;
  limiter: RateLimiterRedis;
}

/** What a policy comes to for one tenant: the buckets to take from, in order. */
export interface Plan {
  early: readonly Bucket[];
  /** Those that wait for the body; the most widely shared bucket comes last. */
  late: readonly Bucket[];
  closed: boolean;
}

/** The items of the headers, filled as buckets are taken from. */
export interface Standing {
  policy: string[];
  limit: string[];
}

export type Identities = Partial<Record<Subject, string | undefined>>;

const early: ReadonlySet<Subject> = new Set(['ip', 'key']);

export class Limiter {
  private readonly limiters = new Map<string, RateLimiterRedis>();
  private readonly plans = new WeakMap<object, Map<PolicyName, Plan>>();

  constructor(private readonly redis: Redis) {}

  plan(policy: PolicyName, key: Key): Plan {
    let ofTenant = this.plans.get(key.limits);
    if (!ofTenant) this.plans.set(key.limits, (ofTenant = new Map()));
    let plan = ofTenant.get(policy);
    if (!plan) ofTenant.set(policy, (plan = this.compile(policy, key.limits)));
    return plan;
  }

  /** Null when every bucket had enough. Stops at the first that has not. */
  async take(
    plan: Plan,
    buckets: readonly Bucket[],
    identities: Identities,
    standing: Standing,
    cost = ONE,
  ): Promise<Problem | null> {
    for (const bucket of buckets) {
      const identity = identities[bucket.subject];
      if (identity === undefined) continue;
      const refusal = await this.takeOne(plan, bucket, identity, standing, cost);
      if (refusal) return refusal;
    }
    return null;
  }

  private async takeOne(
    plan: Plan,
    bucket: Bucket,
    identity: string,
    standing: Standing,
    { points, among }: Cost,
  ): Promise<Problem | null> {
    try {
      // The library passes its `duration` on, which our script has no other use for.
      const taken = bucket.limiter.consume(identity, points, { customDuration: among });
      note(standing, bucket, await taken);
      return null;
    } catch (refused) {
      if (refused instanceof RateLimiterRes) {
        note(standing, bucket, refused);
        return rateLimited(bucket, refused);
      }
      if (!plan.closed) return null;
      return unavailable('store_unavailable', 'Limits cannot be checked while Redis is away.');
    }
  }

  private compile(name: PolicyName, overrides: object): Plan {
    const policy: Policy = policies[name];
    const quotas = effectiveQuotas(policy, (overrides as Record<string, unknown>)[name]);
    const buckets = subjects.flatMap((subject) => {
      const quota = quotas[subject];
      return quota ? [this.bucket(name, subject, quota)] : [];
    });
    return {
      early: buckets.filter(({ subject }) => early.has(subject)),
      late: buckets.filter(({ subject }) => !early.has(subject)),
      closed: policy.whenRedisAway === 'closed',
    };
  }

  private bucket(policy: PolicyName, subject: Subject, { quota, windowS }: Quota): Bucket {
    const name = `${policy}-${subject}`;
    const id = `${name}:${quota}:${windowS}`;
    let limiter = this.limiters.get(id);
    if (!limiter) {
      limiter = new RateLimiterRedis({
        storeClient: this.redis,
        keyPrefix: `limit:${id}`,
        points: quota,
        duration: windowS,
        customIncrTtlLuaScript: TAKE,
        rejectIfRedisNotReady: true,
      });
      this.limiters.set(id, limiter);
    }
    return { name, subject, policyItem: `"${name}";q=${quota};w=${windowS}`, limiter };
  }
}

/** Adds the headers of the draft (draft-ietf-httpapi-ratelimit-headers); none without a limit. */
export function limitHeaders(standing: Standing, headers: Record<string, string>): void {
  if (standing.policy.length === 0) return;
  headers['RateLimit-Policy'] = standing.policy.join(', ');
  headers['RateLimit'] = standing.limit.join(', ');
}

function note(standing: Standing, bucket: Bucket, result: RateLimiterRes): void {
  const held = standing.policy.indexOf(bucket.policyItem);
  const at = held < 0 ? standing.policy.length : held;
  standing.policy[at] = bucket.policyItem;
  standing.limit[at] = `"${bucket.name}";r=${result.remainingPoints};t=${seconds(result)}`;
}

function rateLimited(bucket: Bucket, result: RateLimiterRes): Problem {
  return problem(429, 'rate_limited', `The limit ${bucket.name} is used up.`, {
    headers: { 'Retry-After': String(Math.max(1, seconds(result))) },
  });
}

function seconds(result: RateLimiterRes): number {
  return Math.ceil(result.msBeforeNext / 1000);
}

/** As stored by putLimits: null lifts the policy, or one of its quotas. Left out: the default. */
export function effectiveQuotas(policy: Policy, override: unknown): Policy['quotas'] {
  if (override === undefined) return policy.quotas;
  if (override === null) return {};
  const quotas: Policy['quotas'] = { ...policy.quotas };
  for (const [subject, given] of Object.entries(override as Record<string, unknown>)) {
    if (given === null) delete quotas[subject as Subject];
    else {
      const { quota, window_s } = given as { quota: number; window_s: number };
      quotas[subject as Subject] = { quota, windowS: window_s };
    }
  }
  return quotas;
}
