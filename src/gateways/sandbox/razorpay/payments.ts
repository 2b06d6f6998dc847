// Razorpay's orders and payments: an order is charged by a token from server to server, captured,
// refunded, and found again by its receipt.
import { Refusal } from '../bank.ts';
import type { Charge } from '../objects.ts';
import { behaviourOf } from '../tokens.ts';
import { type Routes, header } from '../wire.ts';
import type { RazorpayCall } from './call.ts';
import { RazorpayRefusal, declinedPayment, razorpayError, refusedAs, wrong } from './errors.ts';
import { type Entity, collection, orderEntity, paymentEntity, refundEntity } from './shapes.ts';

const RECEIPT_LENGTH_MAX = 40;

export const paymentRoutes: Routes<RazorpayCall> = [
  ['POST', '/v1/orders', createOrder],
  ['GET', '/v1/orders', listOrders],
  ['GET', '/v1/orders/:id', (call) => orderEntity(call.one('intent'))],
  ['GET', '/v1/orders/:id/payments', listPaymentsOfOrder],
  ['POST', '/v1/payments/create/recurring', createPayment],
  ['POST', '/v1/payments/create/json', createPayment],
  ['POST', '/v1/payments/create/upi', createPayment],
  ['GET', '/v1/payments', listPayments],
  ['GET', '/v1/payments/:id', (call) => paymentEntity(call.one('charge'))],
  ['POST', '/v1/payments/:id/capture', capture],
  ['POST', '/v1/payments/:id/refund', refund],
  ['GET', '/v1/payments/:id/refunds', listRefundsOfPayment],
  ['GET', '/v1/payments/:id/refunds/:refund', (call) => refundOfPayment(call)],
];

function createOrder(call: RazorpayCall): Entity {
  const amount = call.required(call.amount('amount'), 'amount');
  const currency = call.required(call.text('currency'), 'currency');
  if (!/^[A-Z]{3}$/.test(currency)) throw wrong('Currency is not supported', 'currency');
  const receipt = call.text('receipt');
  if (receipt && receipt.length > RECEIPT_LENGTH_MAX)
    throw wrong('The receipt may not be greater than 40 characters.', 'receipt');
  return orderEntity(
    call.parts.bank.openIntent({
      gateway: 'razorpay',
      amount,
      currency,
      capture: capturesByItself(call) ? 'automatic' : 'manual',
      metadata: call.notes(),
      receipt,
      description: null,
      customer: call.text('customer_id'),
    }),
  );
}

/** `payment.capture`, or the older `payment_capture`. Without either, payments wait. */
function capturesByItself({ body }: RazorpayCall): boolean {
  const payment = body['payment'];
  if (typeof payment === 'object' && payment !== null && 'capture' in payment)
    return payment.capture === 'automatic';
  return [true, 1, '1', 'true'].includes(body['payment_capture'] as string);
}

function createPayment(call: RazorpayCall): Entity {
  const order = call.one('intent', call.required(call.text('order_id'), 'order_id'));
  const amount = call.required(call.amount('amount'), 'amount');
  const token = call.required(tokenOf(call), 'token');
  if (amount !== order.amount)
    throw wrong('Payment amount is different from the amount of the order', 'amount');
  if (call.text('currency') !== order.currency)
    throw wrong('Payment currency is different from the currency of the order', 'currency');
  if (order.status === 'succeeded') throw wrong('Order has already been paid', 'order_id');
  if (!behaviourOf(token)) throw refusedAs('unknown_token');
  const charge = call.parts.bank.tryToken(order, {
    token,
    metadata: call.notes(),
    offSession: call.request.path.endsWith('/recurring'),
    email: call.text('email'),
    contact: call.text('contact'),
  });
  if (charge.status === 'failed') throw declinedPayment(charge);
  return paymentCreated(call, charge);
}

function tokenOf(call: RazorpayCall): string | null {
  const upi = call.body['upi'];
  const inner = typeof upi === 'object' && upi !== null && 'vpa' in upi ? upi.vpa : null;
  return call.text('token') ?? call.text('vpa') ?? (typeof inner === 'string' ? inner : null);
}

function paymentCreated(call: RazorpayCall, { id, intent, status }: Charge): Entity {
  const named = { razorpay_payment_id: id, razorpay_order_id: intent };
  if (status === 'action')
    return { ...named, next: [{ action: 'redirect', url: `https://sandbox.invalid/${id}` }] };
  if (status === 'pending')
    return { ...named, next: [{ action: 'poll', url: `https://sandbox.invalid/${id}` }] };
  const signature = new Bun.CryptoHasher('sha256', call.parts.secretOf(call.request))
    .update(`${intent}|${id}`)
    .digest('hex');
  return { ...named, razorpay_signature: signature };
}

function listOrders(call: RazorpayCall): Entity {
  const receipt = call.request.query.get('receipt');
  const page = { ...call.page(), ...(receipt ? { lookup: receipt } : {}) };
  return collection(call.store.list('razorpay', 'intent', page).map(orderEntity));
}

function listPaymentsOfOrder(call: RazorpayCall): Entity {
  const { id } = call.one('intent');
  const found = call.store.list('razorpay', 'charge', { limit: 100, parent: id });
  return collection(found.map(paymentEntity));
}

function listPayments(call: RazorpayCall): Entity {
  return collection(call.store.list('razorpay', 'charge', call.page()).map(paymentEntity));
}

/** All of it: Razorpay captures no part. */
function capture(call: RazorpayCall): Entity {
  const charge = call.one('charge');
  const amount = call.required(call.amount('amount'), 'amount');
  if (charge.status === 'authorized' && amount !== charge.amount)
    throw wrong('Capture amount must be equal to the amount authorized', 'amount');
  return paymentEntity(acted(() => call.parts.bank.capture(charge, amount)));
}

function refund(call: RazorpayCall): Entity {
  const { store, parts, request } = call;
  const key = header(request, 'x-refund-idempotency');
  if (key !== null && !/^[\w-]{10,}$/.test(key)) throw wrong('The idempotency key is invalid.');
  const kept = key === null ? null : `refund:${key}`;
  const said = `${request.path}\n${request.body}`;
  const before = kept === null ? null : store.answer('razorpay', kept);
  if (before && before.request !== said)
    throw new RazorpayRefusal(
      razorpayError(
        400,
        'Different request with the same idempotency key has already been processed.',
      ),
    );
  // The refund as it is now, not as it was answered first.
  if (before) return refundEntity(call.one('refund', before.body));
  const charge = call.one('charge');
  const fields = {
    amount: call.amount('amount'),
    reason: null,
    receipt: call.text('receipt'),
    metadata: call.notes(),
  };
  const made = acted(() => parts.refunds.refund(charge, fields));
  if (kept !== null)
    store.keepAnswer('razorpay', kept, { request: said, status: 200, body: made.id });
  return refundEntity(made);
}

function listRefundsOfPayment(call: RazorpayCall): Entity {
  const page = { ...call.page(), parent: call.one('charge').id };
  return collection(call.store.list('razorpay', 'refund', page).map(refundEntity));
}

function refundOfPayment(call: RazorpayCall): Entity {
  const found = call.one('refund', call.params['refund']!);
  if (found.charge !== call.params['id']) throw wrong('The id provided does not exist');
  return refundEntity(found);
}

function acted<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Refusal) throw refusedAs(error.reason);
    throw error;
  }
}
