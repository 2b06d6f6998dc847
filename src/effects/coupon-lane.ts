// What a payment means for the coupons of its order: a capture commits the redemption, a failure
// releases it, a whole refund gives the uses back where the terms of the codes say so.
// Invariant: each is idempotent in the redemption itself; what came too late changes nothing.
import type { CouponTerms } from '../../schemas/coupons.ts';
import { CouponTable } from '../cache/coupon-table.ts';
import { CouponUsage } from '../cache/coupon-usage.ts';
import { RedemptionBook } from '../cache/redemption-book.ts';
import { RedemptionScripts } from '../cache/redemption-scripts.ts';
import type { Redis } from 'ioredis';
import type { Log } from '../io/log.ts';
import type { Sql } from '../io/postgres.ts';
import { getDocument } from '../store/documents.ts';
import type { ClaimedEffect } from '../store/effects.ts';
import type { LaneHandler, LaneOptions, Outcome } from './lane.ts';

export const couponLane: LaneOptions = {
  name: 'coupons',
  concurrency: 32,
  timeoutMs: 10_000,
  backoff: { baseMs: 200, maxMs: 60_000 },
  // A slot that is not given back is a buyer turned away: tried for as long as it takes.
  attemptsMax: Number.MAX_SAFE_INTEGER,
  breaker: { failures: 50, openMs: 2_000 },
};

type Settling = 'committed' | 'released';

export function couponHandler(redis: Redis, sql: Sql, log: Log): LaneHandler {
  // Settling looks at no terms and no usage, so neither is followed here.
  const table = new CouponTable();
  const usage = new CouponUsage(redis, sql, () => {});
  const book = new RedemptionBook({ scripts: new RedemptionScripts(redis), sql, table, usage });

  async function settle({ tenant, key }: ClaimedEffect, id: string, as: Settling) {
    const result = await book.settle(tenant, id, as, null);
    if ('redemption' in result) return { done: [] };
    // Somebody else has decided meanwhile, or it is not the tenant's: nothing is left to do.
    const why = 'refused' in result ? result.refused : 'missing';
    log.info({ effect: key, why }, 'a redemption could not follow its payment');
    return { giveUp: why };
  }

  return {
    async call(effect): Promise<Outcome> {
      const id = String(effect.data['redemption_id']);
      if (effect.kind === 'redemption_commit') return await settle(effect, id, 'committed');
      if (effect.kind === 'redemption_release') return await settle(effect, id, 'released');
      const redemption = await book.get(effect.tenant, id);
      if (!redemption) return { giveUp: 'missing' };
      const returns = await Promise.all(
        redemption.record.uses.map(({ code }) => returnsUses(sql, effect.tenant, code)),
      );
      return returns.every(Boolean) ? await settle(effect, id, 'released') : { done: [] };
    },
  };
}

/** A stack is given back as a whole or not at all, as it was taken. */
async function returnsUses(sql: Sql, tenant: number, code: string): Promise<boolean> {
  const terms = await getDocument<CouponTerms>(sql, tenant, 'coupons', code);
  return terms?.body.returned_on_refund ?? true;
}
