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
import {
  UNUSED,
  type Verdict,
  checkUsage,
  publicReason,
  refusalOf,
} from '../cache/coupon-check.ts';
import { type QuotedCode, quote } from '../cache/coupon-quote.ts';
import type { CompiledTerms } from '../cache/coupon-terms.ts';
import type { Coupons } from '../cache/coupons.ts';
import { ToldCodes } from '../cache/told-codes.ts';
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
  const desk: PublicDesk = { coupons, told: new ToldCodes() };
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
      const { key, body } = context;
      if (key.publishable)
        return publicAnswers(desk, context, [body]).then(([given]) => json(200, given));
      const answer = answerTo(coupons, context, body);
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
      const results = context.key.publishable
        ? await publicAnswers(desk, context, checks)
        : await Promise.all(checks.map(async (one) => answerTo(coupons, context, one)));
      return json(200, { results });
    },
  });

  return [validate, batch];
}

/** At once, unless usage must be read. */
function answerTo(
  coupons: Coupons,
  context: Context,
  request: Request,
): CheckAnswer | Promise<CheckAnswer> {
  const quotes = quotesOf(coupons, context.tenant, request);
  if (quotes instanceof Promise)
    return quotes.then((found) => finish(coupons, context, request, found));
  return finish(coupons, context, request, quotes);
}

/** How a publishable key is answered, and what the process remembers for it. */
interface PublicDesk {
  coupons: Coupons;
  told: ToldCodes;
}

/**
 * To a page in a browser, which may be guessing. Each code counts as a check, and each that there
 * is nothing to tell of as a guess; both are paid for before anything is told. With too few guesses
 * left for all that is asked, the request is refused whichever of the codes exist: else the refusal
 * would be the answer. A check that was refused is not counted among the checks.
 */
async function publicAnswers(
  { coupons, told }: PublicDesk,
  context: Context,
  requests: readonly Request[],
): Promise<CheckAnswer[]> {
  const { tenant, ip } = context;
  let asked = 0;
  for (const request of requests) asked += codesOf(request).length;
  // The guard has taken one.
  if (asked > 1) await context.spend('public_checks', asked - 1);
  // By the terms alone: to read what is used would take longer for a code that exists.
  const looked = requests.flatMap((request) =>
    quoteNow(coupons, tenant, codesOf(request), request, []),
  );
  const isNews = ({ code, verdict }: QuotedCode): boolean =>
    isUntold(verdict) || !told.has(tenant, ip, code);
  const guesses = looked.filter(isNews).length;
  const wrong = looked.filter(({ verdict }) => isUntold(verdict)).length;
  if (guesses > 0) await context.spend('public_unknown_codes', wrong, guesses);
  for (const { code, verdict } of looked) if (!isUntold(verdict)) told.add(tenant, ip, code);
  const quoted = await Promise.all(
    requests.map(async (request) => quotesOf(coupons, tenant, request)),
  );
  return requests.map((request, index) => finish(coupons, context, request, quoted[index]!));
}

/** A code that is switched off, or not on yet, is nothing that a stranger is told of. */
function isUntold(verdict: Verdict): boolean {
  const reason = refusalOf(verdict);
  return reason !== null && publicReason(reason) === 'not_found';
}

/** At once, unless usage must be read. */
function quotesOf(
  coupons: Coupons,
  tenant: number,
  request: Request,
): QuotedCode[] | Promise<QuotedCode[]> {
  const codes = codesOf(request);
  const missing: string[] = [];
  const quotes = quoteNow(coupons, tenant, codes, request, missing);
  return missing.length > 0 ? quotesAfterReading(coupons, tenant, request, missing) : quotes;
}

/** Redis away: the answer is given by what is known, and its `as_of` stands still. */
async function quotesAfterReading(
  coupons: Coupons,
  tenant: number,
  request: Request,
  missing: readonly string[],
): Promise<QuotedCode[]> {
  const { customer_id: customer } = request;
  const reads = missing.flatMap((code) => [
    coupons.usage.load(tenant, code, null),
    ...(customer === undefined ? [] : [coupons.usage.load(tenant, code, customer)]),
  ]);
  await Promise.race([Promise.all(reads).catch(() => {}), Bun.sleep(READ_WAIT_MS)]);
  return quoteNow(coupons, tenant, codesOf(request), request, []);
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
): CheckAnswer {
  for (const { code, terms, verdict } of quotes)
    coupons.recorder.record(context.tenant, terms ? code : null, verdict);
  return answerOf(coupons, context, request, quotes);
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
