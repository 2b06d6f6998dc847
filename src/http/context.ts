// One request as its handler sees it. What few handlers ask for is worked out when they ask.
// Invariant: `tenant` and `key` are those of a key that was found; before that they are nobody's.
import type { Key } from '../cache/keys.ts';
import { networkOf } from './address.ts';
import type { Cost, Limiter, Plan, Standing } from './limits.ts';
import type { PolicyName } from './policies.ts';
import type { Problem } from './problem.ts';
import { addressOf, requestIdOf, traceparentOf } from './request.ts';
import type { Context } from './route.ts';

export interface ContextParts {
  limiter: Limiter;
  /** Proxies in front of us whose X-Forwarded-For is believed. */
  trustedProxyHops: number;
}

/** What Elysia gives us of a request. */
export interface Incoming {
  request: Request;
  params: Record<string, string>;
  /** Null where no socket is: in a test. */
  server: { requestIP(request: Request): { address: string } | null } | null;
}

const noKey: Key = { id: '', tenant: 0, scopes: new Set(), publishable: false, limits: {} };

export class RequestContext implements Context {
  key: Key = noKey;
  tenant = 0;
  body: unknown = undefined;
  query: unknown = undefined;
  idempotencyKey = '';
  onceId = '';
  /** Null until a limit is asked. */
  standing: Standing | null = null;
  params: unknown;
  isAnswered = false;
  readonly request: Request;
  readonly headers: Headers;
  readonly requestId: string;
  readonly startedAt = performance.now();

  constructor(
    private readonly incoming: Incoming,
    private readonly parts: ContextParts,
    readonly resolve: (response: Response) => void,
  ) {
    this.request = incoming.request;
    this.headers = incoming.request.headers;
    this.params = incoming.params;
    this.requestId = requestIdOf(this.headers);
  }

  get traceparent(): string | undefined {
    return traceparentOf(this.headers);
  }

  /** The network that limits by address count; one that a proxy garbled counts as the proxy's. */
  get ip(): string {
    const { request, incoming, parts } = this;
    const address = incoming.server?.requestIP(request)?.address ?? '';
    const named = addressOf(this.headers, address, parts.trustedProxyHops);
    return networkOf(named) ?? networkOf(address) ?? '';
  }

  get signal(): AbortSignal {
    return this.request.signal;
  }

  async spend(policy: PolicyName, points = 1, among = points): Promise<void> {
    const plan = this.parts.limiter.plan(policy, this.key);
    for (const buckets of [plan.early, plan.late]) {
      const refusal = await this.take(plan, buckets, undefined, { points, among });
      if (refusal) throw refusal;
    }
  }

  take(plan: Plan, buckets: Plan['early'], user?: string, cost?: Cost): Promise<Problem | null> {
    const tenant = String(this.tenant);
    const identities = {
      ip: `${tenant}:${this.ip}`,
      key: this.key.id,
      user: user === undefined ? undefined : `${tenant}:${user}`,
      tenant,
    };
    this.standing ??= { policy: [], limit: [] };
    return this.parts.limiter.take(plan, buckets, identities, this.standing, cost);
  }
}
