// Stripe by its public HTTP API. A charge is two calls: an intent is made, which moves no money,
// and is confirmed, which does.
// Invariants: one intent for each key of ours; an intent is confirmed, captured and cancelled once
// at most by its own state, so these need no key, and no saved 500 is given again for a day.
import { declineReasonOf } from '../../schemas/payments-declines.ts';
import { type DisputeAnswer, stripeEvidence } from './evidence.ts';
import {
  type ChargeRequest,
  type Gateway,
  type GatewayAnswer,
  type GatewayPayment,
  GatewayBusy,
  GatewayKeySpent,
  GatewayRefused,
  GatewayUnreachable,
  noteOf,
} from './gateway.ts';
import { type Send, type WireAnswer, formOf, wire } from './wire.ts';

export interface StripeOptions {
  baseUrl: string;
  secretKey: string;
  timeoutMs: number;
}

interface Intent {
  id: string;
  status: string;
  currency: string;
  amount_capturable?: number;
  amount_received?: number;
  last_payment_error?: StripeError | null;
  latest_charge?: { balance_transaction?: { fee: number; currency: string } | null } | null;
}

interface Refund {
  id: string;
  status: string | null;
  amount: number;
  metadata?: Readonly<Record<string, string>> | null;
}

interface Dispute {
  evidence_details?: { submission_count?: number };
}

interface StripeError {
  type?: string;
  code?: string;
  decline_code?: string;
}

const VERSION = '2024-06-20';
/** Stripe forgets a key after 24 hours at the earliest; from here on intents are searched for. */
const KEY_HOLDS_MS = 20 * 3_600_000;
/** With the fee, which is the balance transaction's. */
const EXPAND = { expand: { 0: 'latest_charge.balance_transaction' } };
const EXPAND_QUERY = formOf(EXPAND);

export class Stripe implements Gateway {
  readonly name = 'stripe';
  private readonly send: Send;

  constructor(
    { baseUrl, secretKey, timeoutMs }: StripeOptions,
    private readonly now: () => number = Date.now,
  ) {
    const headers = {
      Authorization: `Bearer ${secretKey}`,
      'Stripe-Version': VERSION,
      'Content-Type': 'application/x-www-form-urlencoded',
    };
    this.send = wire({ baseUrl, headers, timeoutMs });
  }

  async charge(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer> {
    const id = await this.intentOf(request, signal);
    if (request.again) {
      const told = newsOf(await this.read(id, signal));
      if (told !== 'absent') return told;
    }
    return await this.confirm(id, signal);
  }

  async find(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer | 'absent'> {
    return newsOf(await this.read(await this.intentOf(request, signal), signal));
  }

  async capture(
    _key: string,
    payment: GatewayPayment,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    return await this.change(payment, 'capture', { amount_to_capture: payment.amount }, signal);
  }

  async cancel(_key: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer> {
    return await this.change(payment, 'cancel', {}, signal);
  }

  async refund(
    refundId: string,
    payment: GatewayPayment,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    const { reference, amount, again, keysSpent } = payment;
    const told = (refund: Refund) => refundNews(refund, refundId, reference);
    if (again) {
      const path = `/v1/refunds?${formOf({ payment_intent: reference, limit: 100 })}`;
      const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
      const known = (body['data'] as Refund[]).find(
        ({ metadata }) => metadata?.['refund_id'] === refundId,
      );
      if (known) return told(known);
    }
    const metadata = { ...noteOf(payment), refund_id: refundId };
    const fields = { payment_intent: reference, amount, metadata };
    const key = keysSpent === 0 ? refundId : `${refundId}:${keysSpent}`;
    const answer = await this.post('/v1/refunds', fields, signal, key);
    if (isOfOtherWords(answer)) throw new GatewayKeySpent('the key was used in other words');
    return told(accepted(answer).body as unknown as Refund);
  }

  async answerDispute(key: string, answer: DisputeAnswer, signal: AbortSignal): Promise<void> {
    const path = `/v1/disputes/${encodeURIComponent(answer.disputeId)}`;
    if (answer.again) {
      const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
      const { submission_count: count = 0 } = (body as Dispute).evidence_details ?? {};
      if (count > 0) return;
    }
    const fields = { evidence: stripeEvidence(answer), submit: true };
    accepted(await this.post(path, fields, signal, key));
  }

  /** The intent of this key, made if there is none. Nobody is charged by it. */
  private async intentOf(request: ChargeRequest, signal: AbortSignal): Promise<string> {
    const { key, askedAt } = request;
    if (this.now() - askedAt.getTime() > KEY_HOLDS_MS) {
      const found = await this.search(key, signal);
      if (found) return found;
    }
    try {
      const made = await this.post('/v1/payment_intents', intentFields(request), signal, key);
      if (isOfOtherWords(made)) return await this.madeBefore(key, signal);
      return String(accepted(made).body['id']);
    } catch (error) {
      if (request.again || error instanceof GatewayRefused || error instanceof GatewayBusy)
        throw error;
      throw new GatewayUnreachable(`no intent was made: ${messageOf(error)}`);
    }
  }

  /** By an earlier release, that asked in other words under the same key. */
  private async madeBefore(key: string, signal: AbortSignal): Promise<string> {
    const found = await this.search(key, signal);
    if (found) return found;
    throw new Error('the key was used, and what for is not found yet');
  }

  /** Of several, made after a key was forgotten, the one that has gone furthest. */
  private async search(key: string, signal: AbortSignal): Promise<string | null> {
    const query = formOf({ query: `metadata['tallyrace_key']:'${key}'`, limit: 100 });
    const path = `/v1/payment_intents/search?${query}`;
    const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
    const found = body['data'] as Intent[];
    return (found.find((intent) => newsOf(intent) !== 'absent') ?? found[0])?.id ?? null;
  }

  private async confirm(id: string, signal: AbortSignal): Promise<GatewayAnswer> {
    // Nobody is at hand who could answer a bank's question.
    const fields = { error_on_requires_action: true, ...EXPAND };
    const answer = await this.post(
      `/v1/payment_intents/${encodeURIComponent(id)}/confirm`,
      fields,
      signal,
    );
    if (answer.status === 402) {
      const { decline_code: word, code } = errorOf(answer);
      const declineReason = declineReasonOf('stripe', word ?? code);
      return { news: 'failed', reference: id, amount: 0, declineReason };
    }
    if (answer.status === 200) return told(answer.body);
    return await this.otherwise(answer, id, signal);
  }

  private async change(
    { reference }: GatewayPayment,
    action: 'capture' | 'cancel',
    fields: object,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    const path = `/v1/payment_intents/${encodeURIComponent(reference)}/${action}`;
    const answer = await this.post(path, { ...fields, ...EXPAND }, signal);
    if (answer.status === 200) return told(answer.body);
    return await this.otherwise(answer, reference, signal);
  }

  /** It may have been done before: then what it is now is the answer. */
  private async otherwise(answer: WireAnswer, id: string, signal: AbortSignal) {
    if (errorOf(answer).code !== 'payment_intent_unexpected_state') accepted(answer);
    const now = newsOf(await this.read(id, signal));
    if (now === 'absent') throw refusalOf(answer);
    return now;
  }

  private async read(id: string, signal: AbortSignal): Promise<Intent> {
    const path = `/v1/payment_intents/${encodeURIComponent(id)}?${EXPAND_QUERY}`;
    return lookedUp(await this.send({ method: 'GET', path }, signal)).body as unknown as Intent;
  }

  private async post(
    path: string,
    fields: object,
    signal: AbortSignal,
    key?: string,
  ): Promise<WireAnswer> {
    const headers = key === undefined ? {} : { 'Idempotency-Key': key };
    return await this.send({ method: 'POST', path, body: formOf(fields), headers }, signal);
  }
}

function intentFields(request: ChargeRequest): object {
  const { key, amount, currency, method, capture, customerId, orderId } = request;
  const metadata = { ...noteOf(request), tallyrace_key: key, customer_id: customerId };
  return {
    amount,
    currency: currency.toLowerCase(),
    payment_method: method.token,
    capture_method: capture,
    // Whatever the token stands for, as long as the buyer need not be sent anywhere.
    automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
    metadata: orderId === null ? metadata : { ...metadata, order_id: orderId },
  };
}

/** `absent`: the intent is there, and nobody was charged by it. */
function newsOf(intent: Intent): GatewayAnswer | 'absent' {
  const { id: reference, status, last_payment_error: error } = intent;
  if (status === 'succeeded') {
    const fee = intent.latest_charge?.balance_transaction;
    // A fee in another currency than the payment's is not of these books; the payout shows it.
    const known = fee && fee.currency === intent.currency ? { fee: fee.fee } : {};
    return { news: 'captured', reference, amount: intent.amount_received ?? 0, ...known };
  }
  if (status === 'requires_capture')
    return { news: 'authorized', reference, amount: intent.amount_capturable ?? 0 };
  if (status === 'canceled') return { news: 'cancelled', reference, amount: 0 };
  if (status === 'processing' || status === 'requires_action') return null;
  if (!error) return 'absent';
  const declineReason = declineReasonOf('stripe', error.decline_code ?? error.code);
  return { news: 'failed', reference, amount: 0, declineReason };
}

/** Of an intent that has just been changed: not to have moved is not to know yet. */
function told(body: WireAnswer['body']): GatewayAnswer {
  const news = newsOf(body as unknown as Intent);
  return news === 'absent' ? null : news;
}

function refundNews({ status, amount }: Refund, subject: string, reference: string): GatewayAnswer {
  if (status === 'succeeded') return { news: 'refund_succeeded', reference, amount, subject };
  if (status === 'failed' || status === 'canceled')
    return { news: 'refund_failed', reference, amount, subject };
  return null;
}

/** The key was used with other parameters. (409 says that it is in use now.) */
function isOfOtherWords(answer: WireAnswer): boolean {
  return answer.status === 400 && errorOf(answer).type === 'idempotency_error';
}

function accepted(answer: WireAnswer): WireAnswer {
  if (answer.status === 200) return answer;
  // The same key is being worked on, or something else of the same object.
  if (answer.status === 409) throw new Error('the gateway is at it already');
  throw refusalOf(answer);
}

/** Whatever is wrong with a look, it says nothing of what was looked for. */
function lookedUp(answer: WireAnswer): WireAnswer {
  if (answer.status === 200) return answer;
  const refusal = refusalOf(answer);
  throw refusal.ofKey ? refusal : new Error(`could not look: ${answer.status}`);
}

function refusalOf(answer: WireAnswer): GatewayRefused {
  const { type, code } = errorOf(answer);
  const { status } = answer;
  const said = `refused: ${status} ${code ?? type ?? ''}`;
  return new GatewayRefused('processing_error', said, status === 401 || status === 403);
}

function errorOf({ body }: WireAnswer): StripeError {
  const error = body['error'];
  return typeof error === 'object' && error !== null ? error : {};
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
