// What the codes of a request come to, in the given order: each takes from what those before it
// have left to pay.
// Invariant: the discounts sum to at most the order's total.
import type { CouponTable } from './coupon-table.ts';
import type { CompiledTerms } from './coupon-terms.ts';
import { type Purchase, type Verdict, checkTerms, verdictOf } from './coupon-check.ts';

export interface QuotedCode {
  code: string;
  terms: CompiledTerms | undefined;
  /** Before usage is looked at: what a gift would give if it held enough. */
  byTerms: Verdict;
  /** The discount, or below zero a refusal. */
  verdict: Verdict;
}

/** Turns a discount that the terms allow into one that the usage allows too. */
export type UsageCheck = (code: string, terms: CompiledTerms, discount: number) => Verdict;

export function quote(
  table: CouponTable,
  tenant: number,
  codes: readonly string[],
  purchase: Purchase,
  now: number,
  checkUsageOf: UsageCheck,
): QuotedCode[] {
  let left = purchase.order.total.amount;
  return codes.map((code) => {
    const terms = table.get(tenant, code);
    const byTerms = terms
      ? checkTerms(terms, purchase, left, now, codes.length > 1)
      : verdictOf('not_found');
    const verdict = terms && byTerms >= 0 ? checkUsageOf(code, terms, byTerms) : byTerms;
    if (verdict > 0) left -= verdict;
    return { code, terms, byTerms, verdict };
  });
}
