// Where gateways send their webhooks: no key; the path names the account, and the signature shows
// who it is. What is signed is appended as it came and answered at once; workers read it.
// Invariant: nothing that is not signed by the account's secret is kept, and whoever sends such a
// thing does not learn whether the address or the signature was wrong.
import { Type } from '@sinclair/typebox';
import type { GatewayName } from '../../schemas/payments.ts';
import { closed } from '../../schemas/primitives.ts';
import {
  Endpoint,
  WEBHOOK_BYTES_MAX,
  WebhookReceived,
  WebhookTaken,
  WebhookType,
  webhookTypes,
} from '../../schemas/webhooks.ts';
import { TenantLimits } from '../cache/tenant-limits.ts';
import { problem } from '../http/problem.ts';
import { type RecentEvents, Receipt } from '../http/recent.ts';
import { type Context, type Outcome, type Route, defineRoute, json } from '../http/route.ts';
import { isSignedByRazorpay, isSignedByStripe } from '../http/signatures.ts';
import type { Clock } from '../io/clock.ts';
import type { Metrics } from '../io/metrics.ts';
import type { Sql } from '../io/postgres.ts';
import { limitsOf } from '../store/limits.ts';
import { webhookId } from '../store/webhook-events.ts';
import type { Appender } from '../stream/append.ts';
import { encodeEvent } from '../stream/codec.ts';
import { partitionOf } from '../stream/topology.ts';

export interface WebhookParts {
  appender: Appender;
  recent: RecentEvents;
  clock: Clock;
  sql: Sql;
  metrics: Metrics;
  gateways: {
    endpointOf(endpoint: string): Promise<{
      tenant: number;
      gateway: GatewayName;
      /** The present one and, for a while after a change, the one before. */
      secrets: readonly string[];
    } | null>;
  };
}

type SignedContext = Context<Uint8Array, { endpoint: string }>;
type Recorded = 'accepted' | 'duplicate' | 'limited' | 'bad_signature' | 'unknown_endpoint';

export function webhookRoutes(parts: WebhookParts): Route[] {
  const limits = new TenantLimits((tenant) => limitsOf(parts.sql, tenant), parts.clock);
  const count = counter(parts.metrics);
  return (['stripe', 'razorpay'] as const).map((gateway) => {
    const title = `${gateway[0]!.toUpperCase()}${gateway.slice(1)}`;
    return defineRoute({
      name: `take${title}Webhook`,
      method: 'POST',
      path: `/v1/webhooks/${gateway}/{endpoint}`,
      tag: 'webhooks',
      summary: `A webhook of ${title}`,
      description: descriptions[gateway],
      scope: null,
      limit: 'none',
      accepts: true,
      params: closed({ endpoint: Endpoint }),
      body: Type.Object({}),
      async refusesUnread({ params: { endpoint } }) {
        const account = await parts.gateways.endpointOf(endpoint);
        if (account?.gateway === gateway) return null;
        count(gateway, null, 'unknown_endpoint');
        return refused();
      },
      rawBody: true,
      bodyBytesMax: WEBHOOK_BYTES_MAX,
      answers: { 202: { description: 'Kept; workers read it.', schema: WebhookTaken } },
      problems: [400, 429, 503],
      examples: [
        {
          name: 'not signed',
          status: 400,
          params: { endpoint: (Endpoint.examples as string[])[0]! },
          body: {},
        },
      ],
      handler: (context) => take(parts, gateway, context as never, limits, count),
    });
  });
}

const descriptions: Record<GatewayName, string> = {
  stripe:
    'Signed as `Stripe-Signature` says (`t=…,v1=…`), at most five minutes ago. The same event ' +
    'sent again has no further effect.',
  razorpay:
    'Signed as `X-Razorpay-Signature` says. What comes again under its `X-Razorpay-Event-Id` has ' +
    'no further effect.',
};

async function take(
  { gateways, appender, recent, clock }: WebhookParts,
  gateway: GatewayName,
  context: SignedContext,
  limits: TenantLimits,
  count: (gateway: GatewayName, type: string | null, recorded: Recorded) => void,
): Promise<Outcome> {
  const { body, params, headers, traceparent = null } = context;
  const account = await gateways.endpointOf(params.endpoint);
  // Deleted while the body came.
  if (account?.gateway !== gateway) return refused();
  const text = signedText(gateway, body, headers, account.secrets, clock());
  if (text === null) {
    count(gateway, null, 'bad_signature');
    return refused();
  }
  const { eventId, type } = identityOf(gateway, text, headers);
  const { tenant } = account;
  await spendOf(context, tenant, params.endpoint, limits).catch((refusal: unknown) => {
    count(gateway, type, 'limited');
    throw refusal;
  });
  const id = webhookId(gateway, params.endpoint, eventId);
  const payload = gateway === 'stripe' ? steady(text) : text;
  const data = { gateway, endpoint: params.endpoint, gateway_event_id: eventId, payload };
  const known = recent.find(tenant, id);
  const fingerprint = Bun.hash(payload) as bigint;
  if (known?.fingerprint === fingerprint) {
    await known.receipt.settled;
    count(gateway, type, 'duplicate');
    return json(202, { status: 'duplicate', position: known.receipt.position(known.index) });
  }
  const partition = partitionOf(tenant, WebhookReceived.orderKey(data));
  const receipt = new Receipt(WebhookReceived.topic, partition);
  recent.add(tenant, id, { fingerprint, receipt, index: 0 });
  const header = { tenant, id, acceptedAt: clock(), traceparent };
  const tuple = encodeEvent(WebhookReceived, { ...header, data });
  appender.appendAll(WebhookReceived.topic, partition, 1, tuple, receipt);
  await receipt.settled;
  count(gateway, type, 'accepted');
  return json(202, { status: 'accepted', position: receipt.position(0) });
}

function refused() {
  return problem(400, 'webhook_refused', 'The address or the signature is not right.');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Null where it is not signed, or is no text at all, which no gateway sends. */
function signedText(
  gateway: GatewayName,
  body: Uint8Array,
  headers: Headers,
  secrets: readonly string[],
  nowMs: number,
): string | null {
  const isSigned =
    gateway === 'stripe'
      ? isSignedByStripe(body, headers.get('stripe-signature'), secrets, nowMs)
      : isSignedByRazorpay(body, headers.get('x-razorpay-signature'), secrets);
  if (!isSigned) return null;
  try {
    return utf8.decode(body);
  } catch {
    return null;
  }
}

const typeForm = new RegExp(WebhookType.pattern!);
const stripeId = /^evt_[A-Za-z0-9_]{1,70}$/;
const razorpayId = /^[A-Za-z0-9_-]{1,64}$/;

/** What the gateway calls it. What has no such name is known by its content; the rule says of it
 * what is wrong, and keeps it. */
function identityOf(gateway: GatewayName, text: string, headers: Headers) {
  const { id, type, event } = topOf(text);
  const isStripe = gateway === 'stripe';
  const named = isStripe ? id : headers.get('x-razorpay-event-id');
  const given = isStripe ? type : event;
  const isNamed = typeof named === 'string' && (isStripe ? stripeId : razorpayId).test(named);
  return {
    eventId: isNamed ? named : `sha256:${Bun.SHA256.hash(text, 'hex')}`,
    type: typeof given === 'string' && typeForm.test(given) ? given : null,
  };
}

function topOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const top: unknown = JSON.parse(text);
    return typeof top === 'object' && top !== null ? { ...top } : {};
  } catch {
    return {};
  }
}

/** The one thing in which Stripe's tries of one event may differ: how many others still wait. */
function steady(text: string): string {
  return text.replace(/("pending_webhooks":\s*)\d+/, '$10');
}

/** Taken from only by who has signed, so that nobody else can use it up. */
async function spendOf(
  context: SignedContext,
  tenant: number,
  endpoint: string,
  limits: TenantLimits,
): Promise<void> {
  context.tenant = tenant;
  context.key = { ...context.key, id: endpoint, tenant, limits: await limits.of(tenant) };
  await context.spend('webhooks');
}

function counter(metrics: Metrics) {
  const family = metrics.counter(
    'tallyrace_webhooks_in_total',
    'Webhooks of gateways, by whether we know their type and what became of them at the door.',
    ['gateway', 'type', 'outcome'],
  );
  const bound = new Map<string, { inc(): void }>();
  return (gateway: GatewayName, type: string | null, outcome: Recorded): void => {
    const isKnown = type !== null && (webhookTypes[gateway] as readonly string[]).includes(type);
    const word = isKnown ? 'known' : 'unknown';
    const name = `${gateway} ${word} ${outcome}`;
    let handle = bound.get(name);
    if (!handle) bound.set(name, (handle = family.labels(gateway, word, outcome)));
    handle.inc();
  };
}
