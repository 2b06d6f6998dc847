// Stripe's PaymentIntents: create, confirm, capture, cancel, and finding them again.
import { Refusal } from '../bank.ts';
import type { Charge, Intent } from '../objects.ts';
import { behaviourOf } from '../tokens.ts';
import type { Routes } from '../wire.ts';
import type { StripeCall } from './call.ts';
import { StripeRefusal, cardRefusal, invalid, refusedAs } from './errors.ts';
import { labels } from './form.ts';
import { searched } from './search.ts';
import { type Shape, intentShape } from './shapes.ts';

const confirming = ['payment_method', 'off_session', 'error_on_requires_action', 'return_url'];
const creating = [
  'amount',
  'automatic_payment_methods',
  'capture_method',
  'confirm',
  'confirmation_method',
  'currency',
  'customer',
  'description',
  'metadata',
  'payment_method_options',
  'payment_method_types',
  'receipt_email',
  'setup_future_usage',
  'shipping',
  'statement_descriptor',
  'statement_descriptor_suffix',
];
/** Not while a charge of it is undecided or held. */
const confirmable: readonly Intent['status'][] = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
];
const captureMethods = ['automatic', 'automatic_async', 'manual'];

export const intentRoutes: Routes<StripeCall> = [
  ['POST', '/v1/payment_intents', create],
  ['GET', '/v1/payment_intents', (call) => call.list('intent')],
  ['GET', '/v1/payment_intents/search', searched],
  ['GET', '/v1/payment_intents/:id', (call) => call.shown('intent')],
  ['POST', '/v1/payment_intents/:id', update],
  ['POST', '/v1/payment_intents/:id/confirm', confirm],
  ['POST', '/v1/payment_intents/:id/capture', capture],
  ['POST', '/v1/payment_intents/:id/cancel', cancel],
];

function create(call: StripeCall): Shape {
  call.knows(...creating, ...confirming);
  const amount = call.required(call.amount('amount'), 'amount');
  const currency = call.required(call.text('currency'), 'currency');
  if (!/^[a-zA-Z]{3}$/.test(currency))
    throw invalid(`Invalid currency: ${currency}.`, { param: 'currency' });
  const method = call.text('capture_method') ?? 'automatic_async';
  if (!captureMethods.includes(method))
    throw invalid('Invalid capture_method.', { param: 'capture_method' });
  const confirms = call.text('confirm') === 'true';
  const token = tokenOf(call);
  const intent = call.parts.bank.openIntent({
    gateway: 'stripe',
    amount,
    currency: currency.toUpperCase(),
    capture: method === 'manual' ? 'manual' : 'automatic',
    metadata: labels(call.form, 'metadata'),
    receipt: null,
    description: call.text('description'),
    customer: call.text('customer'),
  });
  if (confirms) return tryIt(call, intent, call.required(token, 'payment_method'));
  if (token) {
    const ready: Intent = { ...intent, token, status: 'requires_confirmation' };
    call.store.put(ready);
    return intentShape(ready, call.store);
  }
  return intentShape(intent, call.store);
}

function update(call: StripeCall): Shape {
  call.knows('metadata', 'description');
  const intent = call.one('intent');
  const metadata = { ...intent.metadata, ...labels(call.form, 'metadata') };
  const description = call.text('description') ?? intent.description;
  const changed = { ...intent, metadata, description };
  call.store.put(changed);
  call.store.label('stripe', intent.id, metadata);
  return intentShape(changed, call.store);
}

function confirm(call: StripeCall): Shape {
  call.knows(...confirming, 'capture_method');
  const intent = call.one('intent');
  return tryIt(call, intent, call.required(tokenOf(call) ?? intent.token, 'payment_method'));
}

function tryIt(call: StripeCall, intent: Intent, token: string): Shape {
  const alone = ['off_session', 'error_on_requires_action'];
  const offSession = alone.some((name) => call.text(name) === 'true');
  const charge = acted(call, intent, 'confirmed', () => {
    if (!confirmable.includes(intent.status)) throw new Refusal('wrong_status');
    return call.parts.bank.tryToken(intent, { token, metadata: {}, offSession });
  });
  const shape = intentShape(call.one('intent', intent.id), call.store);
  if (charge.status === 'failed') throw cardRefusal(charge, shape);
  return shape;
}

function capture(call: StripeCall): Shape {
  call.knows('amount_to_capture', 'final_capture', 'metadata');
  const intent = call.one('intent');
  const amount = call.amount('amount_to_capture') ?? intent.amount;
  acted(call, intent, 'captured', () => {
    const charge = intent.latest ? call.store.get('charge', intent.latest) : null;
    if (!charge) throw new Refusal('wrong_status');
    return call.parts.bank.capture(charge, amount);
  });
  return intentShape(call.one('intent'), call.store);
}

function cancel(call: StripeCall): Shape {
  call.knows('cancellation_reason');
  const intent = call.one('intent');
  const reason = call.text('cancellation_reason');
  return intentShape(
    acted(call, intent, 'canceled', () => call.parts.bank.cancel(intent, reason)),
    call.store,
  );
}

function tokenOf(call: StripeCall): string | null {
  const token = call.text('payment_method');
  if (token !== null && !behaviourOf(token))
    throw invalid(`No such PaymentMethod: '${token}'`, {
      code: 'resource_missing',
      param: 'payment_method',
    });
  return token;
}

function acted<T extends Charge | Intent>(
  call: StripeCall,
  intent: Intent,
  verb: string,
  act: () => T,
): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const shape = intentShape(intent, call.store);
    throw new StripeRefusal(refusedAs(error.reason, verb, intent, shape));
  }
}
