// Coupons: their terms, with live usage. (Checking one is in coupon-checks.ts.)
// Invariant: when a PUT has answered, no process reserves by older terms.
import {
  Coupon,
  CouponCode,
  CouponTerms,
  type CouponTerms as Terms,
} from '../../schemas/coupons.ts';
import { closed } from '../../schemas/primitives.ts';
import type { Coupons } from '../cache/coupons.ts';
import { COUPON_KIND } from '../cache/coupon-table.ts';
import { compileTerms, termErrors } from '../cache/coupon-terms.ts';
import { type UsageRow, readUsage } from '../cache/coupon-usage-read.ts';
import { page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import { type Document, getDocument, listDocuments, putDocument } from '../store/documents.ts';

const params = closed({ code: CouponCode });
const read = {
  scope: ['coupons:write', 'coupons:redeem'],
  limit: 'requests',
  tag: 'coupons',
} as const;

const spring: Terms = {
  kind: 'percent',
  percent_bp: 1_000,
  max_discount: { amount: 2_000, currency: 'USD' },
  min_order: { amount: 1_000, currency: 'USD' },
  limits: { global: 100, per_customer: 1 },
};

export function couponRoutes(coupons: Coupons): Route[] {
  return [putCoupon(coupons), getCoupon(coupons), listCoupons(coupons)];
}

function putCoupon({ redis, sql, table, book }: Coupons): Route {
  return defineRoute({
    name: 'putCoupon',
    method: 'PUT',
    path: '/v1/coupons/{code}',
    tag: 'coupons',
    summary: 'Create or change a coupon',
    description:
      'Terms that are already there keep their version. No redemption is decided by older terms ' +
      'once this has answered; checks in other processes follow within milliseconds.',
    scope: 'coupons:write',
    limit: 'requests',
    params,
    body: CouponTerms,
    answers: {
      200: { description: 'Changed, or as it was.', schema: Coupon },
      201: { description: 'Created.', schema: Coupon },
    },
    examples: [
      { name: 'create', status: 201, params: { code: 'SPRING' }, body: spring },
      { name: 'again', status: 200, params: { code: 'SPRING' }, body: spring },
    ],
    async handler({ tenant, key, params: { code }, body }) {
      const errors = termErrors(body);
      if (errors.length > 0)
        return problem(422, 'invalid_request', 'See `errors` for what is wrong.', { errors });
      const put = await putDocument(sql, tenant, COUPON_KIND, code, body, `key:${key.id}`);
      table.apply([{ tenant, key: code, version: put.version, body }]);
      await book.adopt(tenant, code, put.version);
      const [usage] = await readUsage(redis, sql, tenant, [code]);
      return json(put.created ? 201 : 200, couponOf({ ...put, body }, usage!));
    },
  });
}

function getCoupon({ redis, sql }: Coupons): Route {
  return defineRoute({
    ...read,
    name: 'getCoupon',
    method: 'GET',
    path: '/v1/coupons/{code}',
    summary: 'A coupon, with live usage',
    params,
    answers: { 200: { description: 'The coupon.', schema: Coupon } },
    problems: [404],
    examples: [
      { name: 'known', status: 200, params: { code: 'SPRING' } },
      { name: 'unknown', status: 404, params: { code: 'NOBODY' } },
    ],
    async handler({ tenant, params: { code } }) {
      const found = await getDocument<Terms>(sql, tenant, COUPON_KIND, code);
      if (!found) return problem(404, 'not_found', 'No such coupon.');
      const [usage] = await readUsage(redis, sql, tenant, [code]);
      return json(200, couponOf(found, usage!));
    },
  });
}

function listCoupons({ redis, sql }: Coupons): Route {
  return defineRoute({
    ...read,
    name: 'listCoupons',
    method: 'GET',
    path: '/v1/coupons',
    summary: 'Coupons by code, with live usage',
    query: closed(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(Coupon) } },
    examples: [{ name: 'first page', status: 200, query: { limit: 10 } }],
    async handler({ tenant, query }) {
      const { limit, after } = readPage(query);
      const rows = await listDocuments<Terms>(sql, tenant, COUPON_KIND, {
        after: after ?? '',
        limit: limit + 1,
      });
      const usage = await readUsage(
        redis,
        sql,
        tenant,
        rows.map(({ key }) => key),
      );
      const listed = rows.map((row, index) => ({ row, usage: usage[index]! }));
      return json(
        200,
        page(
          listed,
          limit,
          ({ row }) => row.key,
          (item) => couponOf(item.row, item.usage),
        ),
      );
    },
  });
}

/** A budget without a currency cannot be summed up: such a coupon takes orders in any. */
function couponOf(document: Omit<Document<Terms>, 'change'>, usage: UsageRow): Coupon {
  const { key, version, body, created_at, updated_at } = document;
  const { currency } = compileTerms(body, version);
  const { reserved, redeemed, budgetUsed } = usage;
  return {
    code: key,
    version,
    ...body,
    usage: {
      reserved,
      redeemed,
      budget_used: currency === null ? null : { amount: budgetUsed, currency },
    },
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}
