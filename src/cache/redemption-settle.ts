// One call of settle.lua for a redemption whose record is at hand: commit, release, expire.
// Invariant: the event is appended in the step that changes the redemption, or not at all.
import { codeKeys, partitionOfRedemption, redemptionKey } from './redemption-keys.ts';
import { type RebuildParts, warmCoupon } from './redemption-rebuild.ts';
import {
  type Origin,
  type RedemptionRecord,
  type ReleaseReason,
  committedEvent,
  releasedEvent,
} from './redemption-record.ts';
import type { SettleReply, Settling } from './redemption-scripts.ts';

export type Settlement = 'committed' | ReleaseReason;

export async function settleRecord(
  parts: RebuildParts,
  id: string,
  record: RedemptionRecord,
  as: Settlement,
  origin: Origin,
): Promise<Exclude<SettleReply, { word: 'cold' }>> {
  const { tenant, order, uses, customer } = record;
  const event =
    as === 'committed' ? committedEvent(id, record, origin) : releasedEvent(id, record, origin, as);
  const settling: Settling = {
    partition: partitionOfRedemption(id),
    key: redemptionKey(id),
    target: as === 'committed' ? 'committed' : 'released',
    why: as,
    customer,
    event,
    codes: uses.map(({ code, discount }) => ({ keys: codeKeys(tenant, code, order), discount })),
  };
  // Each round warms one code of the stack, and what is warm stays so.
  for (let round = 0; round <= uses.length; round++) {
    const reply = await parts.scripts.settle(settling);
    if (reply.word !== 'cold') return reply;
    await warmCoupon(parts, tenant, uses[reply.index]!.code);
  }
  throw new Error(`counters of redemption ${id} do not stay in Redis`);
}
