// Coupon terms in the form that checks read: numbers instead of nested objects, times parsed once.
// Invariant: what passes `termErrors` compiles, and compiled terms hold nothing that a check does
// not look at, so that equal terms of many codes can be one object.
import type { CouponTerms } from '../../schemas/coupons.ts';
import type { Money } from '../../schemas/primitives.ts';
import { type Windows, compileWindows, isTimeZone } from './coupon-windows.ts';

export interface TermError {
  /** JSON pointer into the terms. */
  pointer: string;
  detail: string;
}

/** No limit, as scripts and comparisons spell it. */
export const UNLIMITED = -1;

export interface CompiledTerms {
  version: number;
  kind: CouponTerms['kind'];
  disabled: boolean;
  stackable: boolean;
  /** Null where no part of the terms is money. */
  currency: string | null;
  percentBp: number;
  value: number;
  maxDiscount: number;
  minOrder: number;
  startsAt: number;
  endsAt: number;
  windows: Windows | null;
  globalLimit: number;
  customerLimit: number;
  /** For a gift balance: what it held at first. */
  budget: number;
  products: ReadonlySet<string> | null;
  segments: ReadonlySet<string> | null;
}

export function compileTerms(terms: CouponTerms, version: number): CompiledTerms {
  const { kind, limits, windows, products, segments } = terms;
  const budget = kind === 'gift_balance' ? terms.value : limits?.budget;
  return {
    version,
    kind,
    disabled: terms.status === 'disabled',
    stackable: terms.stackable ?? false,
    currency: moneyOf(terms)[0]?.money.currency ?? null,
    percentBp: terms.percent_bp ?? 0,
    value: terms.value?.amount ?? 0,
    maxDiscount: terms.max_discount?.amount ?? Number.MAX_SAFE_INTEGER,
    minOrder: terms.min_order?.amount ?? 0,
    startsAt: terms.starts_at === undefined ? -Infinity : Date.parse(terms.starts_at),
    endsAt: terms.ends_at === undefined ? Infinity : Date.parse(terms.ends_at),
    windows: windows ? compileWindows(windows, terms.time_zone) : null,
    globalLimit: limits?.global ?? UNLIMITED,
    customerLimit: limits?.per_customer ?? UNLIMITED,
    budget: budget?.amount ?? UNLIMITED,
    products: products ? new Set(products) : null,
    segments: segments ? new Set(segments) : null,
  };
}

/** What the schema cannot say. Empty when the terms make sense. */
export function termErrors(terms: CouponTerms): TermError[] {
  return [...kindErrors(terms), ...timeErrors(terms), ...currencyErrors(terms)];
}

function kindErrors(terms: CouponTerms): TermError[] {
  const { kind, percent_bp, value, limits } = terms;
  const errors: TermError[] = [];
  const wantsPercent = kind === 'percent';
  const wantsValue = kind === 'fixed' || kind === 'gift_balance';
  if (wantsPercent && percent_bp === undefined)
    errors.push({ pointer: '/percent_bp', detail: 'a percent coupon needs percent_bp' });
  if (!wantsPercent && percent_bp !== undefined)
    errors.push({ pointer: '/percent_bp', detail: 'only a percent coupon has percent_bp' });
  if (wantsValue && !value)
    errors.push({ pointer: '/value', detail: `a ${kind} coupon needs a value` });
  if (wantsValue && value?.amount === 0)
    errors.push({ pointer: '/value/amount', detail: 'the value must be above zero' });
  if (!wantsValue && value)
    errors.push({ pointer: '/value', detail: `a ${kind} coupon has no value` });
  if (kind === 'gift_balance' && limits?.budget)
    errors.push({ pointer: '/limits/budget', detail: 'the value of a gift is its budget' });
  return errors;
}

function timeErrors({ starts_at, ends_at, windows, time_zone }: CouponTerms): TermError[] {
  const errors: TermError[] = [];
  const start = starts_at === undefined ? -Infinity : Date.parse(starts_at);
  const end = ends_at === undefined ? Infinity : Date.parse(ends_at);
  if (Number.isNaN(start)) errors.push({ pointer: '/starts_at', detail: 'no such time' });
  if (Number.isNaN(end)) errors.push({ pointer: '/ends_at', detail: 'no such time' });
  if (end <= start) errors.push({ pointer: '/ends_at', detail: 'must be after starts_at' });
  if (time_zone !== undefined && !windows)
    errors.push({ pointer: '/time_zone', detail: 'only windows are read in a time zone' });
  if (time_zone !== undefined && !isTimeZone(time_zone))
    errors.push({ pointer: '/time_zone', detail: 'no such time zone' });
  return errors;
}

function currencyErrors(terms: CouponTerms): TermError[] {
  const [first, ...others] = moneyOf(terms);
  return others
    .filter(({ money }) => money.currency !== first!.money.currency)
    .map(({ pointer }) => ({
      pointer: `${pointer}/currency`,
      detail: `must be the currency of ${first!.pointer.slice(1)}`,
    }));
}

function moneyOf(terms: CouponTerms): { pointer: string; money: Money }[] {
  const { value, max_discount, min_order, limits } = terms;
  const all = [
    { pointer: '/value', money: value },
    { pointer: '/max_discount', money: max_discount },
    { pointer: '/min_order', money: min_order },
    { pointer: '/limits/budget', money: limits?.budget },
  ];
  return all.filter((part): part is { pointer: string; money: Money } => part.money !== undefined);
}
