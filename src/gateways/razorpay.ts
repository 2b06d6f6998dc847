// Razorpay by its public HTTP API. It has no idempotency key for payments, so a charge is an order
// under our receipt, a payment of it, and its capture, and whoever asks again looks these up first.
// Invariants: one order for each key of ours, which Razorpay lets be paid once; only our capture
// moves money, so a payment that Razorpay authorises late is given back by itself.
import { declineReasonOf } from '../../schemas/payments-declines.ts';
import {
  type ChargeRequest,
  type Gateway,
  type GatewayAnswer,
  type GatewayPayment,
  GatewayBusy,
  GatewayRefused,
  GatewayUnreachable,
  noteOf,
} from './gateway.ts';
import { type Send, type WireAnswer, wire } from './wire.ts';

export interface RazorpayOptions {
  baseUrl: string;
  keyId: string;
  keySecret: string;
  /** What Razorpay wants to know of every buyer; where it writes to if it does. */
  email: string;
  contact: string;
  timeoutMs: number;
}

interface Payment {
  id: string;
  status: string;
  amount: number;
  fee?: number | null;
  error_reason?: string | null;
}

interface Refund {
  id: string;
  status: string;
  amount: number;
  notes?: Readonly<Record<string, string>> | [];
}

/** Of several payments of one order, the furthest is what became of it. */
const furthest = ['captured', 'refunded', 'authorized', 'created', 'failed'];

export class Razorpay implements Gateway {
  readonly name = 'razorpay';
  private readonly send: Send;

  constructor(private readonly options: RazorpayOptions) {
    const { baseUrl, keyId, keySecret, timeoutMs } = options;
    const headers = {
      Authorization: `Basic ${btoa(`${keyId}:${keySecret}`)}`,
      'Content-Type': 'application/json',
    };
    this.send = wire({ baseUrl, headers, timeoutMs });
  }

  async charge(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer> {
    const known = request.again ? await this.orderOf(request, signal) : null;
    const paid = known === null ? null : await this.paymentOf(known, signal);
    if (paid) return await this.goOn(paid, request, signal);
    const order = known ?? (await this.createOrder(request, signal));
    return await this.pay(order, request, signal);
  }

  async find(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer | 'absent'> {
    const order = await this.orderOf(request, signal);
    const paid = order === null ? null : await this.paymentOf(order, signal);
    return paid ? newsOf(paid) : 'absent';
  }

  /** The whole authorised amount: Razorpay captures no parts. */
  async capture(
    _key: string,
    payment: GatewayPayment,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    const { reference, amount, currency } = payment;
    const path = `/v1/payments/${encodeURIComponent(reference)}/capture`;
    const answer = await this.post(path, { amount, currency }, signal);
    if (answer.status === 200) return newsOf(answer.body as unknown as Payment);
    // Captured before, or given back meanwhile: what it is now is the answer.
    const now = await this.read(reference, signal);
    if (now.status === 'authorized') throw refusalOf(answer);
    return newsOf(now);
  }

  /** Razorpay has no call for it: what nobody captures goes back to the buyer by itself. */
  async cancel(_key: string, payment: GatewayPayment, signal: AbortSignal): Promise<GatewayAnswer> {
    const now = await this.read(payment.reference, signal);
    if (now.status === 'captured' || now.status === 'refunded') return newsOf(now);
    return { news: 'cancelled', reference: now.id, amount: 0 };
  }

  async refund(
    refundId: string,
    payment: GatewayPayment,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    const { reference, amount, again } = payment;
    const told = (refund: Refund) => refundNews(refund, refundId, reference);
    if (again) {
      const path = `/v1/payments/${encodeURIComponent(reference)}/refunds?count=100`;
      const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
      const known = (body['items'] as Refund[]).find(
        ({ notes }) => (notes as Record<string, string> | undefined)?.['refund_id'] === refundId,
      );
      if (known) return told(known);
    }
    const notes = { ...noteOf(payment), refund_id: refundId };
    const path = `/v1/payments/${encodeURIComponent(reference)}/refund`;
    const headers = { 'X-Refund-Idempotency': refundId };
    const fields = { amount, speed: 'normal', receipt: compact(refundId), notes };
    const { body } = accepted(await this.post(path, fields, signal, headers));
    return told(body as unknown as Refund);
  }

  private async createOrder(request: ChargeRequest, signal: AbortSignal): Promise<string> {
    const { amount, currency } = request;
    const fields = {
      ...{ amount, currency, receipt: receiptOf(request), notes: notesOf(request) },
      payment_capture: false,
    };
    try {
      const made = await this.post('/v1/orders', fields, signal);
      return String(accepted(made).body['id']);
    } catch (error) {
      if (request.again || error instanceof GatewayRefused || error instanceof GatewayBusy)
        throw error;
      throw new GatewayUnreachable(`no order was made: ${String(error)}`);
    }
  }

  private async pay(
    order: string,
    request: ChargeRequest,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    const { email, contact } = this.options;
    const { amount, currency, method, paymentId } = request;
    const [token, customer] = tokenOf(method.token);
    const answer = await this.post(
      '/v1/payments/create/recurring',
      {
        ...{ email, contact, amount, currency, token, order_id: order },
        ...(customer !== null && { customer_id: customer }),
        recurring: '1',
        description: paymentId,
        notes: notesOf(request),
      },
      signal,
    );
    const made = answer.body['razorpay_payment_id'];
    try {
      if (answer.status === 200 && typeof made === 'string')
        return await this.goOn(await this.read(made, signal), request, signal);
      return await this.refusedPayment(answer, order, signal);
    } catch (error) {
      // The buyer's money may be held by now: whatever stopped us here, something was done.
      if (error instanceof GatewayBusy || error instanceof GatewayUnreachable)
        throw new Error(`after the payment was asked for: ${error.message}`, { cause: error });
      throw error;
    }
  }

  /** A payment that failed is there to be read, with its reason; else none was made. */
  private async refusedPayment(
    answer: WireAnswer,
    order: string,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    const { reason, metadata } = errorOf(answer);
    const reference = metadata?.payment_id;
    if (reference)
      return {
        ...{ news: 'failed', reference, amount: 0 },
        declineReason: declineReasonOf('razorpay', reason),
      };
    const paid = await this.paymentOf(order, signal);
    if (paid) return newsOf(paid);
    accepted(answer);
    throw new Error('the gateway named no payment');
  }

  private async goOn(
    payment: Payment,
    request: ChargeRequest,
    signal: AbortSignal,
  ): Promise<GatewayAnswer> {
    if (payment.status !== 'authorized' || request.capture === 'manual') return newsOf(payment);
    const { key, paymentId, attempt, amount, currency, again } = request;
    const captured = { reference: payment.id, paymentId, attempt, amount, currency, again };
    return await this.capture(key, captured, signal);
  }

  private async orderOf(request: ChargeRequest, signal: AbortSignal): Promise<string | null> {
    const path = `/v1/orders?receipt=${encodeURIComponent(receiptOf(request))}`;
    const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
    const [first] = body['items'] as { id: string }[];
    return first?.id ?? null;
  }

  private async paymentOf(order: string, signal: AbortSignal): Promise<Payment | null> {
    const path = `/v1/orders/${encodeURIComponent(order)}/payments`;
    const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
    const rank = ({ status }: Payment): number => furthest.indexOf(status);
    const [first] = (body['items'] as Payment[]).toSorted((a, b) => rank(a) - rank(b));
    return first ?? null;
  }

  private async read(id: string, signal: AbortSignal): Promise<Payment> {
    const answer = await this.send(
      { method: 'GET', path: `/v1/payments/${encodeURIComponent(id)}` },
      signal,
    );
    return lookedUp(answer).body as unknown as Payment;
  }

  private async post(
    path: string,
    fields: object,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<WireAnswer> {
    return await this.send({ method: 'POST', path, body: JSON.stringify(fields), headers }, signal);
  }
}

function newsOf({ id: reference, status, amount, fee, error_reason }: Payment): GatewayAnswer {
  if (status === 'captured' || status === 'refunded')
    return { news: 'captured', reference, amount, ...(fee && { fee }) };
  if (status === 'authorized') return { news: 'authorized', reference, amount };
  if (status !== 'failed') return null;
  const declineReason = declineReasonOf('razorpay', error_reason);
  return { news: 'failed', reference, amount: 0, declineReason };
}

function refundNews({ status, amount }: Refund, subject: string, reference: string): GatewayAnswer {
  if (status === 'processed') return { news: 'refund_succeeded', reference, amount, subject };
  return status === 'failed' ? { news: 'refund_failed', reference, amount, subject } : null;
}

/** Receipts have 40 characters at most. */
function receiptOf({ paymentId, attempt }: ChargeRequest): string {
  return `${compact(paymentId)}:${attempt}`;
}

function compact(id: string): string {
  return id.replaceAll('-', '');
}

function notesOf(request: ChargeRequest): object {
  const notes = { ...noteOf(request), tallyrace_key: request.key, customer_id: request.customerId };
  return request.orderId === null ? notes : { ...notes, order_id: request.orderId };
}

/** `cust_…:token_…` where the token belongs to a customer of Razorpay's. */
function tokenOf(token: string): [token: string, customer: string | null] {
  const [, customer, of] = /^(cust_[^:]+):(.+)$/.exec(token) ?? [];
  return customer !== undefined && of !== undefined ? [of, customer] : [token, null];
}

function accepted(answer: WireAnswer): WireAnswer {
  if (answer.status === 200) return answer;
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
  const { code, reason } = errorOf(answer);
  const said = [answer.status, code, reason].filter((word) => word !== undefined).join(' ');
  const ofKey = answer.status === 401 || answer.status === 403;
  return new GatewayRefused('processing_error', `refused: ${said}`, ofKey);
}

interface RazorpayError {
  code?: string;
  reason?: string;
  metadata?: { payment_id?: string };
}

function errorOf({ body }: WireAnswer): RazorpayError {
  const error = body['error'];
  return typeof error === 'object' && error !== null ? error : {};
}
