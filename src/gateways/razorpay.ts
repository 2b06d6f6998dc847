// Razorpay by its public HTTP API. It has no idempotency key for payments, so a charge is an order
// under our receipt, a payment of it, and its capture, and whoever asks again looks these up first.
// Invariants: one order for each key of ours, which Razorpay lets be paid once; only our capture
// moves money, so a payment that Razorpay authorises late is given back by itself.
import { declineReasonOf } from '../../schemas/payments-declines.ts';
import { type DisputeAnswer, razorpayEvidence } from './evidence.ts';
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
import {
  type Known,
  type Order,
  type Payment,
  type Refund,
  accepted,
  errorOf,
  furthestOf,
  isOfOtherWords,
  lookedUp,
  newsOf,
  notesOf,
  receiptOf,
  refundKey,
  refundNews,
  refusalOf,
  tokenOf,
} from './razorpay-words.ts';
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
    const known = request.first ? null : await this.lookFor(request, signal);
    if (known?.paid) return await this.goOn(known.paid, request, signal);
    const order = known?.order ?? (await this.createOrder(request, signal));
    return await this.pay(order, request, signal);
  }

  async find(request: ChargeRequest, signal: AbortSignal): Promise<GatewayAnswer | 'absent'> {
    const known = await this.known(request, signal);
    return known?.paid ? newsOf(known.paid) : 'absent';
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
    const { reference, amount, again, keysSpent } = payment;
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
    const headers = { 'X-Refund-Idempotency': refundKey(refundId, keysSpent) };
    const answer = await this.post(path, { amount, speed: 'normal', notes }, signal, headers);
    if (isOfOtherWords(answer)) throw new GatewayKeySpent('the key was used in other words');
    return told(accepted(answer).body as unknown as Refund);
  }

  async answerDispute(_key: string, answer: DisputeAnswer, signal: AbortSignal): Promise<void> {
    const path = `/v1/disputes/${encodeURIComponent(answer.disputeId)}`;
    if (answer.again) {
      const { status } = lookedUp(await this.send({ method: 'GET', path }, signal)).body;
      if (status === 'under_review' || status === 'won') return;
    }
    const body = JSON.stringify(razorpayEvidence(answer));
    accepted(await this.send({ method: 'PATCH', path: `${path}/contest`, body }, signal));
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
    const paid = furthestOf(await this.paymentsOf(order, signal));
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
    const asked = { paymentId, attempt, amount, currency, again };
    const captured = { ...asked, reference: payment.id, keysSpent: 0 };
    return await this.capture(key, captured, signal);
  }

  /** Where nobody can have been charged, trouble in looking is trouble before the charge. */
  private async lookFor(request: ChargeRequest, signal: AbortSignal): Promise<Known | null> {
    return await this.known(request, signal).catch((error: unknown) => {
      if (request.again || error instanceof GatewayRefused || error instanceof GatewayBusy)
        throw error;
      throw new GatewayUnreachable(`could not look: ${String(error)}`);
    });
  }

  /** A receipt has several orders when the answer to the first did not come, or came too late: the
   * oldest is the one that is paid, by everybody, so that it is paid once. */
  private async known(request: ChargeRequest, signal: AbortSignal): Promise<Known | null> {
    const path = `/v1/orders?receipt=${encodeURIComponent(receiptOf(request))}&count=100`;
    const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
    const orders = (body['items'] as Order[]).toSorted(
      (a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1),
    );
    const paid = await Promise.all(orders.map(({ id }) => this.paymentsOf(id, signal)));
    return orders[0] ? { order: orders[0].id, paid: furthestOf(paid.flat()) } : null;
  }

  private async paymentsOf(order: string, signal: AbortSignal): Promise<Payment[]> {
    const path = `/v1/orders/${encodeURIComponent(order)}/payments`;
    const { body } = lookedUp(await this.send({ method: 'GET', path }, signal));
    return body['items'] as Payment[];
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
