// Where the counters of coupons and their redemptions live in Redis: in the hash tag of the code's
// partition, beside the stream that their events are appended to.
// Invariant: names are injective, because a code has no colon and an order or customer comes last.
import { hashTag, partitionOf } from '../stream/topology.ts';

/** For every partition that an id can name; they are in each of a dozen keys of a redemption. */
const tags = Array.from({ length: 256 }, (_, partition) => hashTag(partition));

function tagOf(partition: number): string {
  return tags[partition]!;
}

/** The keys of one code, as reserve.lua and settle.lua take them. */
export interface CodeKeys {
  partition: number;
  coupon: string;
  customers: string;
  order: string;
}

export function couponKey(tenant: number, code: string): string {
  return `${tagOf(partitionOf(tenant, code))}:coupon:${tenant}:${code}`;
}

export function customersKey(tenant: number, code: string): string {
  return `${couponKey(tenant, code)}:customers`;
}

export function orderKey(tenant: number, code: string, order: string): string {
  return `${couponKey(tenant, code)}:order:${order}`;
}

export function codeKeys(tenant: number, code: string, order: string): CodeKeys {
  const partition = partitionOf(tenant, code);
  const coupon = `${tagOf(partition)}:coupon:${tenant}:${code}`;
  const of = `${coupon}:order:${order}`;
  return { partition, coupon, customers: `${coupon}:customers`, order: of };
}

/** Stands while the counters may be used; says whether anything was redeemed before it. */
export function lifeKey(partition: number): string {
  return `${tagOf(partition)}:coupons:life`;
}

export const LIFE_PARTS = ['life', 'drained', 'offset', 'asleep', 'given'] as const;

/** What a life needs of every partition, in the order of LIFE_PARTS. */
export function lifeKeys(partition: number): string[] {
  const tag = `${tagOf(partition)}:coupons`;
  return LIFE_PARTS.map((part) => `${tag}:${part}`);
}

/** The last offset of redemptions that some process knows to have been given out. */
export function givenKey(partition: number): string {
  return `${tagOf(partition)}:coupons:given`;
}

/** Which limited codes, and which customers of them, changed last: a set sorted by change. */
export function changesKey(partition: number): string {
  return `${tagOf(partition)}:coupons:changes`;
}

/** Counts those changes. */
export function changedKey(partition: number): string {
  return `${tagOf(partition)}:coupons:changed`;
}

export function expiriesKey(partition: number): string {
  return `${tagOf(partition)}:coupons:expiries`;
}

const REDEMPTION = ':redemption:';

export function redemptionKey(id: string): string {
  return `${tagOf(partitionOfRedemption(id))}${REDEMPTION}${id}`;
}

export function redemptionOfKey(key: string): string {
  return key.slice(key.indexOf(REDEMPTION) + REDEMPTION.length);
}

/** A UUIDv7 whose last byte is the partition, so that an id alone finds its slot. */
export function newRedemptionId(partition: number): string {
  return `rdm_${Bun.randomUUIDv7().slice(0, -2)}${partition.toString(16).padStart(2, '0')}`;
}

export function partitionOfRedemption(id: string): number {
  return Number.parseInt(id.slice(-2), 16);
}
