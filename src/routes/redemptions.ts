// Redeeming coupons in two steps: reserve, then commit when the payment succeeds or release when it
// fails. A committed redemption is released when the order is refunded: its use is free again.
// Invariant: a limit is never exceeded, and the same order coming again gets its own redemption.
import {
  Redemption,
  RedemptionId,
  RedemptionRequest,
  type RedemptionRequest as Request,
} from '../../schemas/coupons.ts';
import { closed } from '../../schemas/primitives.ts';
import type { Coupons } from '../cache/coupons.ts';
import type { ReserveRequest } from '../cache/redemption-attempt.ts';
import type { RedemptionBook, Reserved } from '../cache/redemption-book.ts';
import { answerOf } from '../cache/redemption-record.ts';
import { Idempotency, earlier, fingerprintOf, keptAround, onceOf } from '../http/idempotency.ts';
import { catalogue, problem } from '../http/problem.ts';
import { type Context, type Outcome, type Route, defineRoute, json } from '../http/route.ts';
import { codesOf } from './coupon-codes.ts';

const TTL_S = 900;

const params = closed({ id: RedemptionId });
const shared = { tag: 'coupons', scope: 'coupons:redeem' } as const;
const command = { ...shared, limit: 'redemptions', accepts: true } as const;

const nobody = { id: 'rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05' };
const request: Request = {
  code: 'SPRING',
  customer_id: 'c_1',
  order: { id: 'o_1', total: { amount: 5_000, currency: 'USD' } },
};

export function redemptionRoutes({ book, writer }: Coupons): Route[] {
  const idempotency = new Idempotency(writer);
  return [
    createRedemption(book, idempotency),
    commitRedemption(book),
    releaseRedemption(book),
    get(book),
  ];
}

const CREATE = { name: 'createRedemption', path: '/v1/redemptions' } as const;

function createRedemption(book: RedemptionBook, idempotency: Idempotency): Route {
  return defineRoute({
    ...command,
    ...CREATE,
    method: 'POST',
    summary: 'Reserve a code or a stack of codes, all or none',
    description:
      'Holds a use of each code for `ttl_s` seconds; with `commit` it is redeemed at once. An ' +
      'order that comes again, the same within a day, gets the redemption it already has.',
    idempotent: true,
    keepsAnswers: true,
    limitUser: (body) => body.customer_id,
    body: RedemptionRequest,
    answers: { 201: { description: 'Reserved, or committed.', schema: Redemption } },
    problems: [409],
    examples: [
      {
        name: 'reserve',
        status: 201,
        body: request,
        headers: { 'Idempotency-Key': 'example-reserve' },
      },
      {
        name: 'refused',
        status: 409,
        body: { ...request, code: 'NOBODY' },
        headers: { 'Idempotency-Key': 'example-refused' },
      },
    ],
    async handler(context) {
      const { tenant, body, idempotencyKey } = context;
      const once = onceOf(tenant, CREATE.name, idempotencyKey, fingerprintOf(CREATE.path, body));
      const reservation = reservationOf(context);
      const result = await book.reserveOnce(reservation, (redemption) =>
        keptAround(once, (offset) => json(201, answerOf({ ...redemption, offset }))),
      );
      if ('answered' in result) return earlier(once, result.answered);
      if ('redemption' in result) return json(201, answerOf(result.redemption));
      if ('refused' in result) return idempotency.keep(once, outcomeOf(body, result));
      return idempotency.runAnew(once, async () =>
        outcomeOf(body, await book.reserve(reservation)),
      );
    },
  });
}

function reservationOf({ tenant, body, traceparent }: Context<Request>): ReserveRequest {
  return {
    tenant,
    codes: codesOf(body),
    customer: body.customer_id,
    segments: body.segments,
    order: body.order,
    ttlMs: (body.ttl_s ?? TTL_S) * 1_000,
    commit: body.commit ?? false,
    traceparent: traceparent ?? null,
  };
}

function outcomeOf(body: Request, result: Reserved): Outcome {
  if ('redemption' in result) return json(201, answerOf(result.redemption));
  const { refused, code } = result;
  const pointer = body.code === undefined ? `/codes/${codesOf(body).indexOf(code)}` : '/code';
  const detail = catalogue[refused].about;
  return problem(409, refused, detail, { errors: [{ pointer, detail }] });
}

function commitRedemption(book: RedemptionBook): Route {
  return defineRoute({
    ...command,
    name: 'commitRedemption',
    method: 'POST',
    path: '/v1/redemptions/{id}/commit',
    summary: 'Redeem what was reserved',
    description: 'Repeating it changes nothing. A reservation whose time is up is refused.',
    params,
    answers: { 200: { description: 'Committed.', schema: Redemption } },
    problems: [404, 409],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    handler: (context) => settle(book, context, 'committed'),
  });
}

function releaseRedemption(book: RedemptionBook): Route {
  return defineRoute({
    ...command,
    name: 'releaseRedemption',
    method: 'POST',
    path: '/v1/redemptions/{id}/release',
    summary: 'Give the uses back',
    description: 'For a payment that failed or an order that was refunded. Repeating is harmless.',
    params,
    answers: { 200: { description: 'Released.', schema: Redemption } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    handler: (context) => settle(book, context, 'released'),
  });
}

function get(book: RedemptionBook): Route {
  return defineRoute({
    ...shared,
    limit: 'requests',
    name: 'getRedemption',
    method: 'GET',
    path: '/v1/redemptions/{id}',
    summary: 'A redemption',
    params,
    answers: { 200: { description: 'The redemption.', schema: Redemption } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    async handler({ tenant, params: { id } }) {
      const found = await book.get(tenant, id);
      return found ? json(200, answerOf(found)) : unknown();
    },
  });
}

async function settle(
  book: RedemptionBook,
  { tenant, params: { id }, traceparent }: Context<unknown, { id: string }>,
  as: 'committed' | 'released',
): Promise<Outcome> {
  const result = await book.settle(tenant, id, as, traceparent ?? null);
  if ('missing' in result) return unknown();
  if ('redemption' in result) return json(200, answerOf(result.redemption));
  return problem(409, result.refused, catalogue[result.refused].about);
}

function unknown(): Outcome {
  return problem(404, 'not_found', 'No such redemption.');
}
