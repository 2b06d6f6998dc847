// Carries out what payments ask of a gateway: charge, capture, cancel, refund; and says in events
// what it answered.
// Invariants: a call is told to have failed only when certainly nothing was done, and then it is
// over for good: a charge is tried at another gateway. What became of a call that was not answered
// is looked up before anything else is done. What is not decided is asked again later.
import type { DeclineReason, GatewayName } from '../../schemas/payments.ts';
import {
  type ChargeRequest,
  type Gateway,
  type GatewayAnswer,
  GatewayBusy,
  GatewayKeySpent,
  type GatewayNews,
  GatewayRefused,
  GatewayUnreachable,
} from '../gateways/gateway.ts';
import type { Log } from '../io/log.ts';
import { type ClaimedEffect, keysSpent } from '../store/effects.ts';
import { handInEvidence } from './evidence.ts';
import {
  type LaneHandler,
  type LaneOptions,
  type Outcome,
  type Report,
  TargetFailed,
} from './lane.ts';

export function gatewayLane(name: GatewayName): LaneOptions {
  return {
    name: `gateway:${name}`,
    // Half of it is what one tenant is sure of.
    concurrency: 96,
    timeoutMs: 30_000,
    // A buyer waits for it.
    backoff: { baseMs: 500, maxMs: 20_000 },
    // What may have been done is looked up for as long as it takes.
    attemptsMax: Number.MAX_SAFE_INTEGER,
    breaker: { failures: 5, openMs: BREAKER_OPEN_MS, targets: 3 },
  };
}
export const BREAKER_OPEN_MS = 5_000;

/** Null: the tenant has no account there. */
export type OpenGateway = (tenant: number) => Promise<Gateway | null>;

/** What an error says of a try that certainly charged nobody, so that the next knows it. */
const NEVER_SENT = 'never sent';
/** A call that is older at its first try may have been made by a ledger that was lost: the one that
 * was restored does not know. */
const YOUNG_MS = 120_000;
/** How long a charge waits for a gateway that is away, where no other would be tried. */
const PATIENCE_MS = 60_000;
/** Between two tries of what was not sent: waiting has not made it worse. */
const AWAY_MS = 2_000;
/** The more wait, the less often each asks: Postgres serves others too. */
const soon: Outcome = { again: 'breaker open' };
/** Between two tries of what only the tenant can put right. */
const PUT_RIGHT_MS = 60_000;
const noAccount: Outcome = { again: 'no account with the gateway', afterMs: PUT_RIGHT_MS };
/** Between the first two looks at what the gateway has not decided, then twice as long each time. */
const UNDECIDED_MS = { first: 60_000, most: 3_600_000 };
/** Before another key: time for the gateway to put its own books right. */
const KEY_SPENT_MS = 60_000;

export function gatewayHandler(
  name: GatewayName,
  open: OpenGateway,
  log: Log,
  now: () => number = Date.now,
): LaneHandler {
  const notSent = (effect: ClaimedEffect, why: string): Outcome => {
    const isOver = now() - effect.askedAt.getTime() > PATIENCE_MS;
    if (effect.data['is_last'] === true && !isOver)
      return { again: `${NEVER_SENT}: ${why}`, afterMs: AWAY_MS };
    return failed(name, effect, 'no_gateway_available');
  };

  const isYoung = ({ askedAt }: ClaimedEffect): boolean => now() - askedAt.getTime() < YOUNG_MS;
  /** A charge of which nothing can have reached the gateway, or nothing that charges. */
  const mayBeElsewhere = (effect: ClaimedEffect): boolean => {
    const { kind, attempts, lastError } = effect;
    const isUnsent = attempts === 1 || lastError?.startsWith(NEVER_SENT) === true;
    return kind === 'charge' && isUnsent && isYoung(effect);
  };

  return {
    async call(effect, signal) {
      const isFresh = mayBeElsewhere(effect);
      const tried = { first: effect.attempts === 1 && isYoung(effect), again: !isFresh };
      const gateway = await open(effect.tenant).catch((error: unknown) => {
        log.warn({ effect: effect.key, error: String(error) }, 'secrets could not be read');
        return undefined;
      });
      // Ours to blame, not the gateway's: not for the breaker.
      if (gateway === undefined)
        return isFresh ? notSent(effect, 'no secrets') : { again: 'no secrets' };
      if (gateway === null)
        return isFresh ? failed(name, effect, 'no_gateway_available') : noAccount;
      try {
        if (effect.kind === 'evidence') return await handInEvidence(gateway, effect, signal);
        return outcomeOf(name, effect, await carryOut(gateway, effect, tried, signal));
      } catch (error) {
        if (error instanceof GatewayUnreachable && isFresh)
          throw new TargetFailed(error.message, notSent(effect, error.message));
        if (error instanceof GatewayBusy)
          return { again: isFresh ? NEVER_SENT : error.message, afterMs: error.afterMs };
        if (error instanceof GatewayKeySpent)
          return effect.kind === 'charge' ? notSent(effect, error.message) : otherKey(effect);
        if (!(error instanceof GatewayRefused)) throw error;
        log.warn({ effect: effect.key, said: error.message }, 'a gateway has refused a call');
        const outcome = refusedOutcome(name, effect, error, isFresh);
        if (error.ofKey) throw new TargetFailed(error.message, outcome, true);
        return outcome;
      }
    },
    refused: (effect) => (mayBeElsewhere(effect) ? notSent(effect, 'breaker open') : soon),
  };
}

/** Whether it is the first try, and whether one before may have been carried out. */
type Tried = Pick<ChargeRequest, 'first' | 'again'>;

function carryOut(
  gateway: Gateway,
  effect: ClaimedEffect,
  tried: Tried,
  signal: AbortSignal,
): Promise<GatewayAnswer> {
  const { key, kind, data, memory } = effect;
  if (kind === 'charge') return gateway.charge({ ...chargeOf(effect), ...tried }, signal);
  const payment = {
    paymentId: String(data['payment_id']),
    attempt: Number(data['attempt']),
    reference: String(data['reference']),
    amount: Number(data['amount'] ?? 0),
    currency: String(data['currency']),
    again: !tried.first,
    keysSpent: keysSpent(memory),
  };
  if (kind === 'capture') return gateway.capture(key, payment, signal);
  if (kind === 'cancel') return gateway.cancel(key, payment, signal);
  if (kind === 'refund') return gateway.refund(key, payment, signal);
  throw new Error(`a gateway cannot ${kind}`);
}

function chargeOf(effect: ClaimedEffect): Omit<ChargeRequest, keyof Tried> {
  const { key, data, askedAt } = effect;
  return {
    key,
    paymentId: String(data['payment_id']),
    attempt: Number(data['attempt']),
    amount: Number(data['amount']),
    currency: String(data['currency']),
    method: data['method'] as ChargeRequest['method'],
    capture: data['capture'] as ChargeRequest['capture'],
    customerId: String(data['customer_id']),
    orderId: (data['order_id'] as string | null | undefined) ?? null,
    askedAt,
  };
}

function refusedOutcome(
  name: GatewayName,
  effect: ClaimedEffect,
  { reason, message, ofKey }: GatewayRefused,
  isFresh: boolean,
): Outcome {
  if (effect.kind === 'charge' && (isFresh || !ofKey)) return failed(name, effect, reason);
  // Until somebody sets a key that it takes.
  if (ofKey) return { again: message, afterMs: PUT_RIGHT_MS };
  const { key: subject, kind, data } = effect;
  const news: GatewayNews = {
    ...{ news: `${kind as 'capture' | 'cancel' | 'refund'}_failed`, subject },
    ...{ reference: String(data['reference']), amount: Number(data['amount'] ?? 0) },
    ...(kind === 'capture' && { declineReason: reason }),
  };
  return told(name, effect, news);
}

function failed(name: GatewayName, effect: ClaimedEffect, declineReason: DeclineReason): Outcome {
  // The gateway has no object for it, so ours stands for it.
  return told(name, effect, {
    news: 'failed',
    reference: effect.key,
    amount: 0,
    declineReason,
  });
}

/** A charge that is not decided is over for now: a webhook tells, or the look every minute does. */
function outcomeOf(name: GatewayName, effect: ClaimedEffect, answer: GatewayAnswer): Outcome {
  if (answer) return told(name, effect, answer);
  if (effect.kind === 'charge') return { done: [] };
  const { first, most } = UNDECIDED_MS;
  const afterMs = Math.min(first * 2 ** Math.min(effect.attempts - 1, 10), most);
  return { again: 'not decided', afterMs };
}

/** On a failure something else is done: another gateway charges, somebody asks for another refund.
 * So what has failed must not be tried again. */
function told(name: GatewayName, effect: ClaimedEffect, news: GatewayNews): Outcome {
  const done = [reportOf(name, effect, news)];
  return news.news.endsWith('failed') ? { done, final: true } : { done };
}

/** Not at once: what the gateway did under the old key is looked for once more. */
function otherKey({ memory }: ClaimedEffect): Outcome {
  const spent = keysSpent(memory) + 1;
  return { again: 'a key is spent', afterMs: KEY_SPENT_MS, memory: { keys_spent: spent } };
}

function reportOf(gateway: GatewayName, { data }: ClaimedEffect, said: GatewayNews): Report {
  const { news, reference, amount, fee, declineReason, subject, dueBy } = said;
  return {
    suffix: news,
    type: 'payment.reported',
    data: {
      payment_id: data['payment_id'],
      ...{ news, gateway, attempt: data['attempt'], reference, amount },
      ...(fee !== undefined && { fee }),
      ...(declineReason !== undefined && { decline_reason: declineReason }),
      ...(subject !== undefined && { subject }),
      ...(dueBy !== undefined && { due_by: dueBy }),
    },
  };
}
