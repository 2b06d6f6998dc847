// Notices to tenants: signed, sent, and sent again for three days while they do not arrive. Two
// lanes share the work, so that endpoints which fail have no part in the room of those that do not.
// Invariant: a delivery is sent at least once under one id; what becomes of each attempt is kept
// before the delivery counts as settled.
import type { Log } from '../io/log.ts';
import { periodic } from '../io/periodic.ts';
import type { Network } from '../io/private-address.ts';
import type { Sql } from '../io/postgres.ts';
import type { ClaimedEffect } from '../store/effects.ts';
import { type Vault, VaultError } from '../store/secrets.ts';
import {
  type DeliveryName,
  type Message,
  type UnderWay,
  deliveryStore,
  messageOf,
  recordAttempt,
} from '../store/webhook-deliveries.ts';
import { type SigningSecrets, openSecrets } from '../store/webhook-endpoints.ts';
import { backoffMs } from '../stream/backoff.ts';
import { Lane, type LaneHandler, type LaneOptions, type LaneParts, type Outcome } from './lane.ts';
import type { LaneMetrics } from './metrics.ts';
import { type CallOptions, type CallResult, callWebhook } from './webhook-call.ts';
import { webhookHeaders } from './webhook-signature.ts';

export interface WebhookTimes {
  timeoutMs: number;
  backoff: { baseMs: number; maxMs: number };
  /** After this a delivery is given up, counted from when it was asked for. */
  giveUpAfterMs: number;
}

/** docs/webhooks.md prints what follows of it. */
export const webhookTimes: WebhookTimes = {
  timeoutMs: 15_000,
  backoff: { baseMs: 10_000, maxMs: 6 * 3_600_000 },
  giveUpAfterMs: 72 * 3_600_000,
};

/** An endpoint through which nothing got for so long is disabled. */
export const FAILING_DAYS_MAX = 5;
const USER_AGENT = 'Tallyrace-Webhooks/1';

export interface WebhookLanesParts {
  sql: Sql;
  /** Null: no key of secrets, so nothing can be signed. */
  vault: Vault | null;
  log: Log;
  allowed: readonly Network[];
  shared: Omit<LaneParts, 'handler' | 'metrics' | 'store'>;
  metricsOf(lane: string): LaneMetrics;
  times?: WebhookTimes;
  call?: Pick<CallOptions, 'ca' | 'addressesOf'>;
}

/** Notices are kept so long, with what became of their deliveries. */
const KEPT_DAYS = 30;
const PRUNE_MS = 600_000;
const PRUNE_COUNT = 2_000;
const PRUNE_ROUNDS_MAX = 1_000;

export function openWebhookLanes(parts: WebhookLanesParts) {
  const { sql, log } = parts;
  const prune = async (): Promise<void> => {
    for (let round = 0; round < PRUNE_ROUNDS_MAX; round++) {
      const [row] = await sql`select system_notices_prune(${KEPT_DAYS}, ${PRUNE_COUNT}) as gone`;
      if ((row!['gone'] as number) < PRUNE_COUNT) return;
    }
  };
  const pruning = periodic('old notices', PRUNE_MS, prune, log);
  return { lanes: lanesOf(parts), stop: () => pruning.stop() };
}

function lanesOf(parts: WebhookLanesParts): Lane[] {
  const { sql, shared, metricsOf, times = webhookTimes } = parts;
  const underWay: UnderWay = new Map();
  const handler = webhookHandler(parts);
  const laneOf = (name: string, failing: boolean, concurrency: number): Lane => {
    const store = deliveryStore(sql, failing, underWay);
    const options: LaneOptions = {
      ...{ name, concurrency, backoff: times.backoff },
      // Its own time ends first, so that what became of it is recorded.
      timeoutMs: times.timeoutMs + 5_000,
      attemptsMax: Number.MAX_SAFE_INTEGER,
      breaker: { failures: 5, openMs: 5_000, targets: 10 },
    };
    return new Lane({ ...shared, store, handler, metrics: metricsOf(name) }, options);
  };
  return [laneOf('webhooks', false, 48), laneOf('webhooks:failing', true, 16)];
}

function webhookHandler(parts: WebhookLanesParts): LaneHandler {
  return {
    call: (effect, signal) => deliver(parts, effect, signal),
    // Receivers have breakers of their own, in the database. What throws here is ours: of one
    // endpoint whose secret does not open, or of all when Postgres is away.
    targetOf: ({ data }) => String(data['endpoint']),
  };
}

async function deliver(
  parts: WebhookLanesParts,
  effect: ClaimedEffect,
  signal: AbortSignal,
): Promise<Outcome> {
  const { sql, vault, log, allowed, times = webhookTimes, call } = parts;
  const { notice, endpoint } = effect.data as Record<string, string>;
  const name: DeliveryName = { tenant: effect.tenant, notice: notice!, endpoint: endpoint! };
  const message = await messageOf(sql, name);
  if (!message) return { giveUp: 'missing' };
  if (message.status !== 'enabled' || !message.sealed)
    return { giveUp: `endpoint_${message.status}` };
  if (!vault) throw new VaultError('TALLYRACE_SECRETS_KEY is not set');
  const owner = { tenant: name.tenant, id: `whe_${name.endpoint}` };
  const secrets = await openSecrets(vault, owner, message.sealed);

  const startMs = performance.now();
  const signed = signedCall(name, message, secrets);
  const result = await callWebhook(
    { url: message.url, ...signed },
    { ...call, allowed, timeoutMs: times.timeoutMs },
    signal,
  );
  const durationMs = performance.now() - startMs;
  const disabled = await recordAttempt(sql, name, { ...result, durationMs }, FAILING_DAYS_MAX);
  if (disabled) log.warn({ endpoint: owner.id, why: disabled }, 'a webhook endpoint is disabled');
  return outcomeOf(result, disabled, effect, parts);
}

function outcomeOf(
  { error, retryAfterMs }: CallResult,
  disabled: string | null,
  { attempts, askedAt }: ClaimedEffect,
  { times = webhookTimes, shared: { random = Math.random } }: WebhookLanesParts,
): Outcome {
  if (error === null) return { done: [] };
  if (disabled) return { giveUp: error };
  const leftMs = askedAt.getTime() + times.giveUpAfterMs - Date.now();
  if (leftMs <= 0) return { giveUp: error };
  const waitMs = Math.max(backoffMs(attempts, times.backoff, random), retryAfterMs ?? 0);
  return { again: error, afterMs: Math.min(waitMs, leftMs) };
}

function signedCall(
  { notice }: DeliveryName,
  { type, subject, sequence, occurredAt, data }: Message,
  { secret, previous }: SigningSecrets,
) {
  const id = `ntc_${notice}`;
  const timestamp = occurredAt.toISOString();
  const body = JSON.stringify({ id, type, version: 1, timestamp, subject, sequence, data });
  const isValid = previous !== null && Date.parse(previous.until) > Date.now();
  const valid = isValid ? [secret, previous.secret] : [secret];
  const timestampS = Math.floor(Date.now() / 1_000);
  const headers = {
    'content-type': 'application/json',
    'user-agent': USER_AGENT,
    ...webhookHeaders({ id, timestampS, body }, valid),
  };
  return { body, headers };
}
