// Rules of coupons: what a redemption does to the accounts of its codes. The limits were decided
// when the event was appended, so these rules record and never refuse.
// Invariant: `coupon:{code}:uses` is what is reserved or redeemed, `coupon:{code}:budget` the
// discount of it; a release gives back exactly what its reservation took.
import type { Static } from '@sinclair/typebox';
import type {
  CouponChecked,
  RedemptionCommitted,
  RedemptionReleased,
  RedemptionReserved,
} from '../schemas/coupons-events.ts';
import { type AccountRef, type Leg, type Row, type Rule, post } from '../src/ledger/decision.ts';

type Reserved = Static<(typeof RedemptionReserved)['data']>;
type Committed = Static<(typeof RedemptionCommitted)['data']>;
type Released = Static<(typeof RedemptionReleased)['data']>;
type Checked = Static<(typeof CouponChecked)['data']>;
type Redemption = Reserved | Committed | Released;
type Use = Redemption['uses'][number];

const redemptionReserved: Rule<Reserved> = {
  type: 'redemption.reserved',
  reads: () => ({}),
  decide: ({ data }) =>
    post(
      useLegs(data, 1),
      data.uses.map((use) => reservedRow(data, use)),
    ),
};

const redemptionCommitted: Rule<Committed> = {
  type: 'redemption.committed',
  reads: () => ({}),
  decide: ({ data }) =>
    post(
      [],
      data.uses.map((use) => settledRow(data, use, 'committed', data.committed_at)),
    ),
};

const redemptionReleased: Rule<Released> = {
  type: 'redemption.released',
  reads: ({ data }) => ({ accounts: data.uses.flatMap((use) => guardedAccounts(data, use)) }),
  decide: ({ data }) =>
    post(
      useLegs(data, -1),
      data.uses.map((use) => settledRow(data, use, 'released', data.released_at, data.reason)),
    ),
};

const couponChecked: Rule<Checked> = {
  type: 'coupon.checked',
  reads: () => ({}),
  decide: ({ data }) =>
    post(
      [],
      data.checks.map((check) => ({
        table: 'coupon_checks',
        values: { minute: data.minute, ...check },
      })),
    ),
};

/** `sign` 1 takes uses and budget, -1 gives them back. */
function useLegs({ uses, currency }: Redemption, sign: 1 | -1): Leg[] {
  return uses.flatMap(({ code, discount }) => {
    const legs: Leg[] = [
      { account: `coupon:${code}:uses`, unit: 'uses', amount: sign },
      { account: `coupon:${code}:pool`, unit: 'uses', amount: -sign },
    ];
    if (discount > 0)
      legs.push(
        { account: `coupon:${code}:budget`, unit: currency, amount: sign * discount },
        { account: `coupon:${code}:funding`, unit: currency, amount: -sign * discount },
      );
    return legs;
  });
}

function guardedAccounts({ currency }: Redemption, { code, discount }: Use): AccountRef[] {
  const uses = { account: `coupon:${code}:uses`, unit: 'uses' };
  return discount > 0 ? [uses, { account: `coupon:${code}:budget`, unit: currency }] : [uses];
}

function reservedRow(data: Reserved, use: Use): Row {
  return {
    table: 'redemptions',
    values: {
      id: data.redemption_id,
      ...use,
      status: 'reserved',
      position: data.uses.indexOf(use),
      customer_id: data.customer_id,
      order_id: data.order_id,
      currency: data.currency,
      order_total: data.order_total,
      at: data.reserved_at,
      expires_at: data.expires_at,
    },
  };
}

function settledRow(
  data: Committed | Released,
  { code }: Use,
  status: 'committed' | 'released',
  at: string,
  reason?: string,
): Row {
  const values = { id: data.redemption_id, code, status, at };
  return { table: 'redemptions', values: reason === undefined ? values : { ...values, reason } };
}

export const couponRules: readonly Rule<never>[] = [
  redemptionReserved,
  redemptionCommitted,
  redemptionReleased,
  couponChecked,
];
