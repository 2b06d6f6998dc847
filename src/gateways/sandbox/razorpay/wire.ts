// Razorpay's side of the wire: who asks, the route, JSON in and out. Only refunds have an
// idempotency key; everything else is found again by receipt and order.
import { Refusal } from '../bank.ts';
import type { Labels } from '../objects.ts';
import {
  type Routes,
  type Wire,
  type WireAnswer,
  type WireRequest,
  credentials,
  header,
  matched,
} from '../wire.ts';
import { RazorpayCall, type RazorpayParts } from './call.ts';
import { RazorpayRefusal, razorpayError, refusedAs, wrong } from './errors.ts';
import { paymentRoutes } from './payments.ts';
import {
  type Entity,
  collection,
  disputeEntity,
  reconEntity,
  refundEntity,
  settlementEntity,
} from './shapes.ts';

const routes: Routes<RazorpayCall> = [
  ...paymentRoutes,
  ['GET', '/v1/refunds', listRefunds],
  ['GET', '/v1/refunds/:id', (call) => refundEntity(call.one('refund'))],
  ['GET', '/v1/disputes', listDisputes],
  ['GET', '/v1/disputes/:id', (call) => disputeEntity(call.one('dispute'))],
  ['POST', '/v1/disputes/:id/accept', acceptDispute],
  ['PATCH', '/v1/disputes/:id/contest', contestDispute],
  ['GET', '/v1/settlements/recon/combined', recon],
  ['GET', '/v1/settlements', listSettlements],
  ['GET', '/v1/settlements/:id', (call) => settlementEntity(call.one('payout'))],
];

export function razorpayWire(parts: Omit<RazorpayParts, 'secretOf'>): Wire {
  const secretOf = (request: WireRequest): string => credentials(request)?.password ?? '';
  return {
    idempotencyKey: (request) => header(request, 'x-refund-idempotency'),
    handle: (request) => answered({ ...parts, secretOf }, request),
    busy: () => razorpayError(409, 'Request failed because another request is in progress'),
    broken: () => razorpayError(500, 'We are facing some trouble completing your request.'),
    rateLimited: () => razorpayError(429, 'Request failed. Please try after sometime.'),
    unavailable: () => razorpayError(503, 'The server is currently unavailable.'),
  };
}

function answered(parts: RazorpayParts, request: WireRequest): WireAnswer {
  const who = credentials(request);
  if (!who || !/^rzp_test_\w{4,}$/.test(who.user) || who.password === '')
    return razorpayError(401, 'Authentication failed');
  const route = matched(routes, request.method, request.path);
  if (!route) return razorpayError(404, 'The requested URL was not found on the server.');
  try {
    return { status: 200, body: route.run(new RazorpayCall(parts, route.params, request)) };
  } catch (error) {
    if (error instanceof RazorpayRefusal) return error.answer;
    throw error;
  }
}

function listRefunds(call: RazorpayCall): Entity {
  return collection(call.store.list('razorpay', 'refund', call.page()).map(refundEntity));
}

function listDisputes(call: RazorpayCall): Entity {
  return collection(call.store.list('razorpay', 'dispute', call.page()).map(disputeEntity));
}

function acceptDispute(call: RazorpayCall): Entity {
  const dispute = call.one('dispute');
  return disputeEntity(acted(() => call.parts.refunds.close(dispute, 'lost')));
}

const notEvidence = ['action', 'amount'];

function contestDispute(call: RazorpayCall): Entity {
  const dispute = call.one('dispute');
  const submit = call.text('action') === 'submit';
  const evidence: Labels = {};
  for (const [name, value] of Object.entries(call.body))
    if (!notEvidence.includes(name))
      evidence[name] = typeof value === 'string' ? value : JSON.stringify(value);
  return disputeEntity(acted(() => call.parts.refunds.answer(dispute, evidence, submit)));
}

function listSettlements(call: RazorpayCall): Entity {
  return collection(call.store.list('razorpay', 'payout', call.page()).map(settlementEntity));
}

/** What was settled in a month, or on a day of it, by UTC. */
function recon(call: RazorpayCall): Entity {
  const { query } = call.request;
  const [year, month] = ['year', 'month'].map((name) => Number(query.get(name)));
  if (!year || !month) throw wrong('The year and month fields are required.', 'year');
  const day = Number(query.get('day') ?? 0);
  const fromMs = Date.UTC(year, month - 1, day || 1);
  const toMs = day ? fromMs + 86_400_000 - 1 : Date.UTC(year, month, 1) - 1;
  const { limit, skip = 0 } = call.page();
  const items = call.store
    .list('razorpay', 'payout', { limit: -1, fromMs, toMs })
    .flatMap((payout) =>
      call.store
        .list('razorpay', 'line', { limit: -1, lookup: payout.id })
        .filter(({ type }) => type !== 'payout')
        .map((line) => reconEntity(line, payout, call.store)),
    );
  return collection(items.slice(skip, skip + limit));
}

function acted<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Refusal) throw refusedAs(error.reason);
    throw error;
  }
}
