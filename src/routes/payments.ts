// Payments: initiated here, carried out by workers, followed by id or by customer.
// Invariant: no card data; what is accepted has one id, which is its key everywhere.
import type { Static } from '@sinclair/typebox';
import { PaymentInitiated } from '../../schemas/payments-events.ts';
import {
  Payment,
  PaymentAccepted,
  PaymentId,
  PaymentRequest,
  type GatewayName,
} from '../../schemas/payments.ts';
import { AtLeast, ClientId, closed } from '../../schemas/primitives.ts';
import type { Assessment } from '../../schemas/risk.ts';
import type { RecentPayments } from '../cache/recent-payments.ts';
import type { RedemptionBook } from '../cache/redemption-book.ts';
import { networkOf } from '../http/address.ts';
import { refuseCardNumbers } from '../http/card-numbers.ts';
import { type CommandParts, appendEvent, timeOfId } from '../http/command.ts';
import { isTimeAnd, page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { reach } from '../http/position.ts';
import { problem } from '../http/problem.ts';
import { type Context, type Outcome, type Route, defineRoute, json } from '../http/route.ts';
import { paymentOf, paymentsOf } from '../store/payments.ts';
import { formatPosition } from '../stream/topology.ts';
import { paymentAnswer, type PaymentBody } from './payment-answer.ts';
import { refuseUnheld } from './payment-redemption.ts';

export interface PaymentParts extends CommandParts {
  coupons: { book: RedemptionBook };
  recentPayments: RecentPayments;
  /** Who tries it, first to last. */
  gatewaysFor(tenant: number, request: PaymentRequest, paymentId: string): readonly GatewayName[];
  /** `ip`: of the buyer, as far as it is known; empty where it is not. */
  assess(
    tenant: number,
    paymentId: string,
    asked: { body: PaymentRequest; ip: string },
  ): Promise<Assessment>;
}

const params = closed({ id: PaymentId });
const nobody = { id: 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05' };
const request: Static<typeof PaymentRequest> = {
  amount: { amount: 4_999, currency: 'USD' },
  customer_id: 'c_1',
  method: { type: 'card', token: 'pm_card_visa' },
  capture: 'automatic',
  order_id: 'o_1',
};
const read = { tag: 'payments', scope: 'payments:write', limit: 'requests' } as const;

export function paymentRoutes(parts: PaymentParts): Route[] {
  return [createPayment(parts), getPayment(parts), listPayments(parts)];
}

function createPayment(parts: PaymentParts): Route {
  return defineRoute({
    name: 'createPayment',
    method: 'POST',
    path: '/v1/payments',
    tag: 'payments',
    summary: 'Initiate a payment',
    description:
      'Answers as soon as it is accepted; workers carry it out. Follow it by its id, or be told ' +
      'by a webhook. A payment that is to be reviewed waits for `approve`.',
    scope: 'payments:write',
    limit: 'payments',
    limitUser: (body) => body.customer_id,
    accepts: true,
    idempotent: true,
    body: PaymentRequest,
    answers: { 202: { description: 'Accepted.', schema: PaymentAccepted } },
    problems: [409],
    examples: [
      {
        name: 'card',
        status: 202,
        body: request,
        headers: { 'Idempotency-Key': 'example-payment' },
      },
    ],
    handler: (context) => create(parts, context),
  });
}

async function create(parts: PaymentParts, context: Context<PaymentRequest>): Promise<Outcome> {
  const { tenant, body, key, traceparent } = context;
  refuseCardNumbers(body);
  await refuseUnheld(parts.coupons.book, tenant, body);
  const id = `pay_${context.onceId}`;
  const risk = await parts.assess(tenant, id, { body, ip: buyerIp(context) });
  const { amount, customer_id, method, capture = 'automatic' } = body;
  const { order_id, redemption_id, metadata } = body;
  const data: Static<(typeof PaymentInitiated)['data']> = {
    payment_id: id,
    amount,
    customer_id,
    method,
    capture,
    gateways: [...parts.gatewaysFor(tenant, body, id)],
    ...(order_id !== undefined && { order_id }),
    ...(redemption_id !== undefined && { redemption_id }),
    ...(metadata !== undefined && { metadata }),
    risk,
    actor: `key:${key.id}`,
    initiated_at: timeOfId(context.onceId),
  };
  const event = { definition: PaymentInitiated, tenant, id, traceparent, data };
  const { topic, partition, offset } = await appendEvent(parts, event);
  const position = formatPosition(topic, partition, offset);
  return json(202, { id, status: statusOf[risk.decision], position });
}

function buyerIp({ body: { customer_ip: named }, ip }: Context<PaymentRequest>): string {
  if (named === undefined) return ip;
  const network = networkOf(named);
  if (network) return network;
  throw problem(422, 'invalid_request', 'See `errors` for what is wrong, and where.', {
    errors: [{ pointer: '/customer_ip', detail: 'Is no IP address.' }],
  });
}

const statusOf = { allow: 'processing', review: 'requires_review', block: 'failed' } as const;

function getPayment({ sql, settlement }: PaymentParts): Route {
  return defineRoute({
    ...read,
    name: 'getPayment',
    method: 'GET',
    path: '/v1/payments/{id}',
    summary: 'A payment',
    params,
    query: closed({ at_least: AtLeast }),
    answers: { 200: { description: 'The payment.', schema: Payment } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    async handler({ tenant, params: { id }, query }) {
      await reach(settlement, query.at_least);
      const found = await paymentOf<PaymentBody>(sql, tenant, id);
      return found
        ? json(200, paymentAnswer(found))
        : problem(404, 'not_found', 'No such payment, or it has not been settled yet.');
    },
  });
}

function listPayments({ sql, settlement, recentPayments }: PaymentParts): Route {
  return defineRoute({
    ...read,
    name: 'listPayments',
    method: 'GET',
    path: '/v1/payments',
    summary: 'Payments of a customer, newest first',
    query: closed({ ...pageQuery, customer_id: ClientId, at_least: AtLeast }),
    answers: { 200: { description: 'A page.', schema: pageOf(Payment) } },
    examples: [{ name: 'none yet', status: 200, query: { customer_id: 'c_nobody' } }],
    async handler({ tenant, query }) {
      // The page is kept under the customer.
      refuseCardNumbers(query);
      const { limit, after } = readPage(query, isTimeAnd(PaymentId));
      const { customer_id: customer } = query;
      await reach(settlement, query.at_least);
      const ask = (before: string | null, most: number) =>
        paymentsOf<PaymentBody>(sql, tenant, { customer, before, limit: most });
      const rows =
        after === null
          ? await recentPayments.of(tenant, customer, limit + 1, (most) => ask(null, most))
          : await ask(after, limit + 1);
      const cursorOf = (row: (typeof rows)[number]): string => `${row.body.initiated_at}/${row.id}`;
      return json(200, page(rows, limit, cursorOf, paymentAnswer));
    },
  });
}
