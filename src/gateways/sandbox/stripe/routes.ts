// Stripe's other resources: refunds, charges, the statement, disputes, payouts, events.
import { Refusal } from '../bank.ts';
import type { Charge } from '../objects.ts';
import type { Routes } from '../wire.ts';
import type { StripeCall } from './call.ts';
import { StripeRefusal, invalid, missing, refusedAs } from './errors.ts';
import { labels } from './form.ts';
import { intentRoutes } from './intents.ts';
import { type Shape, disputeShape, refundShape } from './shapes.ts';

export const stripeRoutes: Routes<StripeCall> = [
  ...intentRoutes,
  ['POST', '/v1/refunds', refund],
  ['GET', '/v1/refunds', listRefunds],
  ['GET', '/v1/refunds/:id', (call) => call.shown('refund')],
  ['POST', '/v1/refunds/:id', updateRefund],
  ['GET', '/v1/charges', listCharges],
  ['GET', '/v1/charges/:id', (call) => call.shown('charge')],
  ['GET', '/v1/balance', balance],
  ['GET', '/v1/balance_transactions', listLines],
  ['GET', '/v1/balance_transactions/:id', (call) => call.shown('line')],
  ['GET', '/v1/disputes', listDisputes],
  ['GET', '/v1/disputes/:id', (call) => call.shown('dispute')],
  ['POST', '/v1/disputes/:id', answerDispute],
  ['POST', '/v1/disputes/:id/close', closeDispute],
  ['GET', '/v1/payouts', (call) => call.list('payout')],
  ['GET', '/v1/payouts/:id', (call) => call.shown('payout')],
  ['GET', '/v1/events', listEvents],
  ['GET', '/v1/events/:id', (call) => call.shown('event')],
];

function refund(call: StripeCall): Shape {
  call.knows('amount', 'charge', 'instructions_email', 'metadata', 'payment_intent', 'reason');
  const charge = chargeNamed(call);
  if (!charge) throw new StripeRefusal(refusedAs('not_captured', 'refunded', null, null));
  const fields = {
    amount: call.amount('amount'),
    reason: call.text('reason'),
    receipt: null,
    metadata: labels(call.form, 'metadata'),
  };
  return refundShape(acted(() => call.parts.refunds.refund(charge, fields)));
}

function updateRefund(call: StripeCall): Shape {
  call.knows('metadata');
  const found = call.one('refund');
  const changed = { ...found, metadata: { ...found.metadata, ...labels(call.form, 'metadata') } };
  call.store.put(changed);
  return refundShape(changed);
}

/** By charge or by intent. */
function chargeNamed(call: StripeCall): Charge | null {
  const charge = call.text('charge');
  if (charge !== null) return call.one('charge', charge, 'charge');
  const intent = call.text('payment_intent');
  if (intent === null) throw missing('payment_intent');
  const { latest } = call.one('intent', intent, 'payment_intent');
  return latest ? call.store.get('charge', latest) : null;
}

function listRefunds(call: StripeCall): Shape {
  const charge = call.text('charge');
  const intent = call.text('payment_intent');
  return call.list('refund', {
    ...(charge ? { parent: charge } : {}),
    ...(intent ? { lookup: intent } : {}),
  });
}

function listDisputes(call: StripeCall): Shape {
  const charge = call.text('charge');
  const intent = call.text('payment_intent');
  return call.list('dispute', {
    ...(charge ? { parent: charge } : {}),
    ...(intent ? { lookup: intent } : {}),
  });
}

function listCharges(call: StripeCall): Shape {
  const intent = call.text('payment_intent');
  return call.list('charge', intent ? { parent: intent } : {});
}

function listLines(call: StripeCall): Shape {
  const source = call.text('source');
  const payout = call.text('payout');
  return call.list('line', {
    ...(source ? { parent: source } : {}),
    ...(payout ? { lookup: payout } : {}),
  });
}

function listEvents(call: StripeCall): Shape {
  const type = call.text('type');
  return call.list('event', type ? { lookup: type } : {});
}

function balance(call: StripeCall): Shape {
  const sums = new Map<string, number>();
  for (const { currency, net } of call.store.list('stripe', 'line', { limit: -1, lookup: 'open' }))
    sums.set(currency, (sums.get(currency) ?? 0) + net);
  const available = [...sums].map(([currency, amount]) => ({
    amount,
    currency: currency.toLowerCase(),
    source_types: { card: amount },
  }));
  return { object: 'balance', available, livemode: false, pending: [] };
}

function answerDispute(call: StripeCall): Shape {
  call.knows('evidence', 'metadata', 'submit');
  const dispute = call.one('dispute');
  // Stripe hands evidence in unless told not to.
  const submit = call.text('submit') !== 'false';
  const evidence = labels(call.form, 'evidence');
  return disputeShape(
    acted(() => call.parts.refunds.answer(dispute, evidence, submit)),
    call.store,
  );
}

/** Dismissed: lost, for good. */
function closeDispute(call: StripeCall): Shape {
  const dispute = call.one('dispute');
  return disputeShape(
    acted(() => call.parts.refunds.close(dispute, 'lost')),
    call.store,
  );
}

function acted<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.reason === 'already_decided') throw invalid('This dispute is already closed.');
    throw new StripeRefusal(refusedAs(error.reason, 'refunded', null, null));
  }
}
