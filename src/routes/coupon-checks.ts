// Checking codes: whether they apply to an order and what they take off. Answered from this
// process; only limited codes that it has not seen yet cost one read.
// Invariant: a check changes nothing and answers 200 whatever the code; a publishable key learns
// nothing from it but the public reason.
import type { Static } from '@sinclair/typebox';
import {
  type Accepted,
  CheckAnswer,
  CheckBatchAnswer,
  CheckBatchRequest,
  CheckRequest,
  type Refused,
} from '../../schemas/coupons.ts';
import { UNUSED, checkUsage, publicReason, refusalOf } from '../cache/coupon-check.ts';
import { type QuotedCode, quote } from '../cache/coupon-quote.ts';
import type { CompiledTerms } from '../cache/coupon-terms.ts';
import type { Coupons } from '../cache/coupons.ts';
import { type Context, type Route, defineRoute, json } from '../http/route.ts';
import { codesOf } from './coupon-codes.ts';

type Request = Static<typeof CheckRequest>;
type CodeAnswer = Static<typeof Accepted> | Static<typeof Refused>;

const checks = { tag: 'coupons', scope: 'coupons:check', limit: 'checks' } as const;
const order = { total: { amount: 5_000, currency: 'USD' } };
/** A check does not hang on a Redis that does. */
const READ_WAIT_MS = 250;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

export function couponCheckRoutes(coupons: Coupons): Route[] {
  const validate = defineRoute({
    ...checks,
    name: 'validateCoupon',
    method: 'POST',
    path: '/v1/coupons/validate',
    summary: 'Check a code or a stack of codes',
    description:
      'Changes nothing. `as_of` says how fresh the answer is; only a redemption decides limits ' +
      'exactly. Codes of a stack apply in the given order, each to what is left to pay.',
    body: CheckRequest,
    answers: { 200: { description: 'What the code comes to, or why not.', schema: CheckAnswer } },
    examples: [
      { name: 'one code', status: 200, body: { code: 'SPRING', customer_id: 'c_1', order } },
      { name: 'unknown', status: 200, body: { code: 'NOBODY', order } },
      { name: 'stack', status: 200, body: { codes: ['SPRING', 'NOBODY'], order } },
    ],
    handler(context) {
      const answer = answerTo(coupons, context, context.body);
      if (answer instanceof Promise) return answer.then((given) => json(200, given));
      return json(200, answer);
    },
  });

  const batch = defineRoute({
    ...checks,
    name: 'validateCoupons',
    method: 'POST',
    path: '/v1/coupons/validate/batch',
    summary: 'Up to 1,000 checks',
    body: CheckBatchRequest,
    bodyBytesMax: BATCH_BYTES_MAX,
    answers: { 200: { description: 'Answers in order.', schema: CheckBatchAnswer } },
    examples: [{ name: 'two', status: 200, body: { checks: [{ code: 'SPRING', order }] } }],
    async handler(context) {
      const { checks } = context.body;
      checks.forEach((check, index) => codesOf(check, `/checks/${index}`));
      const results = await Promise.all(checks.map(async (one) => answerTo(coupons, context, one)));
      return json(200, { results });
    },
  });

  return [validate, batch];
}

/** At once, unless usage must be read or a guess be paid for. */
function answerTo(
  coupons: Coupons,
  context: Context,
  request: Request,
): CheckAnswer | Promise<CheckAnswer> {
  const codes = codesOf(request);
  const missing: string[] = [];
  const quotes = quoteNow(coupons, context.tenant, codes, request, missing);
  if (missing.length > 0) return answerAfterReading(coupons, context, request, missing);
  return finish(coupons, context, request, quotes);
}

/** Redis away: the answer is given by what is known, and its `as_of` stands still. */
async function answerAfterReading(
  coupons: Coupons,
  context: Context,
  request: Request,
  missing: readonly string[],
): Promise<CheckAnswer> {
  const { tenant } = context;
  const { customer_id: customer } = request;
  const reads = missing.flatMap((code) => [
    coupons.usage.load(tenant, code, null),
    ...(customer === undefined ? [] : [coupons.usage.load(tenant, code, customer)]),
  ]);
  await Promise.race([Promise.all(reads).catch(() => {}), Bun.sleep(READ_WAIT_MS)]);
  const quotes = quoteNow(coupons, tenant, codesOf(request), request, []);
  return finish(coupons, context, request, quotes);
}

/** Codes whose usage is not here are added to `missing`, and taken as unused. */
function quoteNow(
  { table, usage }: Coupons,
  tenant: number,
  codes: readonly string[],
  { customer_id: customer, segments, order }: Request,
  missing: string[],
): QuotedCode[] {
  const usageOf = (code: string, terms: CompiledTerms, discount: number) => {
    if (terms.globalLimit < 0 && terms.customerLimit < 0 && terms.budget < 0) return discount;
    const ofCode = usage.ofCode(tenant, code);
    const counted = terms.customerLimit >= 0 && customer !== undefined;
    const ofCustomer = counted ? usage.ofCustomer(tenant, code, customer) : 0;
    if (ofCode === undefined || ofCustomer === undefined) missing.push(code);
    return checkUsage(terms, ofCode ?? UNUSED, ofCustomer ?? 0, discount);
  };
  return quote(table, tenant, codes, { customer, segments, order }, Date.now(), usageOf);
}

function finish(
  coupons: Coupons,
  context: Context,
  request: Request,
  quotes: readonly QuotedCode[],
): CheckAnswer | Promise<CheckAnswer> {
  let unknown = 0;
  for (const { code, terms, verdict } of quotes) {
    coupons.recorder.record(context.tenant, terms ? code : null, verdict);
    if (!terms) unknown++;
  }
  const answer = answerOf(coupons, context, request, quotes);
  if (unknown === 0 || !context.key.publishable) return answer;
  return context.spend('public_unknown_codes', unknown).then(() => answer);
}

function answerOf(
  { table, usage }: Coupons,
  { key }: Context,
  { codes, order }: Request,
  quotes: readonly QuotedCode[],
): CheckAnswer {
  const { amount: total, currency } = order.total;
  const asOf = usage.asOf < table.asOf ? usage.asOfText : table.asOfText;
  let left = total;
  const results = quotes.map(({ code, terms, verdict }): CodeAnswer => {
    const reason = refusalOf(verdict);
    if (reason !== null) {
      const public_reason = publicReason(reason);
      return key.publishable
        ? { valid: false, code, public_reason }
        : { valid: false, code, reason, public_reason };
    }
    left -= verdict;
    const discount = { amount: verdict, currency };
    const total_after = { amount: left, currency };
    const { kind, version } = terms!;
    // Two literals, since a spread costs more than the rest of the answer.
    return kind === 'free_shipping'
      ? { valid: true, code, discount, total_after, free_shipping: true, as_of: asOf, version }
      : { valid: true, code, discount, total_after, as_of: asOf, version };
  });
  if (!codes) return results[0]!;
  return {
    valid: results.every(({ valid }) => valid),
    discount: { amount: total - left, currency },
    total_after: { amount: left, currency },
    results,
  };
}
