// Where the counters of coupons and their redemptions live in Redis: in the hash tag of the code's
// partition, beside the stream that their events are appended to.
// Invariant: names are injective, because a code has no colon and an order or customer comes last.
import { hashTag, offsetKey, partitionOf, streamKey } from '../stream/topology.ts';

/** The keys of one code, as reserve.lua and settle.lua take them. */
export interface CodeKeys {
  coupon: string;
  customers: string;
  order: string;
  life: string;
  changes: string;
  changed: string;
}

export function couponKey(tenant: number, code: string): string {
  return `${hashTag(partitionOf(tenant, code))}:coupon:${tenant}:${code}`;
}

export function customersKey(tenant: number, code: string): string {
  return `${couponKey(tenant, code)}:customers`;
}

export function orderKey(tenant: number, code: string, order: string): string {
  return `${couponKey(tenant, code)}:order:${order}`;
}

export function codeKeys(tenant: number, code: string, order: string): CodeKeys {
  const partition = partitionOf(tenant, code);
  const coupon = `${hashTag(partition)}:coupon:${tenant}:${code}`;
  return {
    coupon,
    customers: `${coupon}:customers`,
    order: `${coupon}:order:${order}`,
    life: lifeKey(partition),
    changes: changesKey(partition),
    changed: `${hashTag(partition)}:coupons:changed`,
  };
}

/** Stands while Redis keeps its data; says whether anything was redeemed before it. */
export function lifeKey(partition: number): string {
  return `${hashTag(partition)}:coupons:life`;
}

/** Which limited codes, and which customers of them, changed last: a set sorted by change. */
export function changesKey(partition: number): string {
  return `${hashTag(partition)}:coupons:changes`;
}

export function expiriesKey(partition: number): string {
  return `${hashTag(partition)}:coupons:expiries`;
}

const REDEMPTION = ':redemption:';

export function redemptionKey(id: string): string {
  return `${hashTag(partitionOfRedemption(id))}${REDEMPTION}${id}`;
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

/** The first four keys of reserve.lua and settle.lua. */
export function redemptionKeys(id: string): [string, string, string, string] {
  const partition = partitionOfRedemption(id);
  return [
    streamKey('coupons', partition),
    offsetKey('coupons', partition),
    redemptionKey(id),
    expiriesKey(partition),
  ];
}
