// Whether a coupon applies to an order, and what it takes off. Pure; the answer is one number, so
// that a check allocates nothing: the discount, or below zero a refusal (see `refusalOf`).
// Invariant: a discount is never below zero nor above what is left to pay, and a stack's discounts
// sum exactly to what it takes off.
import { type Order, type RefusalReason, refusalReasons } from '../../schemas/coupons.ts';
import { applyRates } from '../ledger/money.ts';
import type { CompiledTerms } from './coupon-terms.ts';
import { inWindows } from './coupon-windows.ts';

export interface Purchase {
  customer: string | undefined;
  segments: readonly string[] | undefined;
  order: Order;
}

/** What is used of a code by reservations and redemptions together. */
export interface CodeUsage {
  uses: number;
  budgetUsed: number;
}
export const UNUSED: CodeUsage = { uses: 0, budgetUsed: 0 };

export type Verdict = number;

const code = Object.fromEntries(
  refusalReasons.map((reason, index) => [reason, -1 - index]),
) as Record<RefusalReason, Verdict>;

export function refusalOf(verdict: Verdict): RefusalReason | null {
  return verdict < 0 ? refusalReasons[-1 - verdict]! : null;
}

export function verdictOf(reason: RefusalReason): Verdict {
  return code[reason];
}

/** By the terms alone. `left` is what codes before this one have left to pay. */
export function checkTerms(
  terms: CompiledTerms,
  purchase: Purchase,
  left: number,
  now: number,
  stacked: boolean,
): Verdict {
  const { order } = purchase;
  if (terms.disabled) return code.disabled;
  if (now < terms.startsAt) return code.not_started;
  if (now >= terms.endsAt) return code.expired;
  if (terms.windows && !inWindows(terms.windows, now)) return code.outside_window;
  if (terms.currency !== null && terms.currency !== order.total.currency)
    return code.currency_mismatch;
  if (terms.segments || terms.customerLimit >= 0) {
    const refused = checkCustomer(terms, purchase);
    if (refused < 0) return refused;
  }
  if (order.total.amount < terms.minOrder) return code.min_order_not_met;
  if (stacked && !terms.stackable) return code.not_stackable;
  return discountOf(terms, order, left);
}

function checkCustomer(terms: CompiledTerms, { customer, segments }: Purchase): Verdict {
  if (terms.customerLimit >= 0 && customer === undefined) return code.customer_required;
  if (!terms.segments) return 0;
  if (segments) for (const segment of segments) if (terms.segments.has(segment)) return 0;
  return customer === undefined && !segments ? code.customer_required : code.customer_not_eligible;
}

function discountOf(terms: CompiledTerms, order: Order, left: number): Verdict {
  let base = left;
  if (terms.products) {
    const eligible = eligibleTotal(terms.products, order);
    if (eligible < 0) return eligible;
    base = Math.min(eligible, left);
  }
  return Math.min(benefitOf(terms, order, base), terms.maxDiscount, left);
}

function benefitOf(terms: CompiledTerms, order: Order, base: number): number {
  switch (terms.kind) {
    case 'percent':
      return applyRates(base, terms.percentBp);
    case 'fixed':
      return Math.min(terms.value, base);
    case 'gift_balance':
      return base;
    case 'free_shipping':
      return order.shipping?.amount ?? 0;
  }
}

/** Beyond 2^53 the sum is inexact, but then it is above any order's total, which bounds it. */
function eligibleTotal(products: ReadonlySet<string>, { items, total }: Order): Verdict {
  let sum = 0;
  let found = false;
  for (const { product_id, quantity, price } of items ?? []) {
    if (!products.has(product_id)) continue;
    if (price.currency !== total.currency) return code.currency_mismatch;
    found = true;
    sum += quantity * price.amount;
  }
  return found ? sum : code.product_not_eligible;
}

/** By what is used, for a discount that the terms allow. A gift gives what it still holds. */
export function checkUsage(
  terms: CompiledTerms,
  usage: CodeUsage,
  customerUses: number,
  discount: number,
): Verdict {
  if (terms.globalLimit >= 0 && usage.uses >= terms.globalLimit) return code.limit_reached;
  if (terms.customerLimit >= 0 && customerUses >= terms.customerLimit)
    return code.customer_limit_reached;
  if (terms.budget < 0) return discount;
  const left = terms.budget - usage.budgetUsed;
  if (terms.kind === 'gift_balance')
    return left <= 0 ? code.insufficient_balance : Math.min(discount, left);
  return discount > left ? code.budget_exhausted : discount;
}

/** What a caller who must not learn which codes exist is told. */
export function publicReason(reason: RefusalReason) {
  switch (reason) {
    case 'not_found':
    case 'disabled':
    case 'not_started':
      return 'not_found';
    case 'expired':
      return 'expired';
    case 'limit_reached':
    case 'budget_exhausted':
    case 'insufficient_balance':
      return 'limit_reached';
    default:
      return 'not_applicable';
  }
}
