// One call of settle.lua for a redemption whose record is at hand: commit, release, expire.
// Invariant: the event is appended in the step that changes the redemption, or not at all.
import { codeKeys, redemptionKeys } from './redemption-keys.ts';
import {
  ORDER_MEMORY_MS,
  type RebuildParts,
  SETTLED_MEMORY_MS,
  warmCoupon,
} from './redemption-rebuild.ts';
import {
  type Origin,
  type RedemptionRecord,
  type ReleaseReason,
  committedEvent,
  releasedEvent,
} from './redemption-record.ts';
import type { SettleReply } from './redemption-scripts.ts';

export type Settlement = 'committed' | ReleaseReason;

export async function settleRecord(
  parts: RebuildParts,
  id: string,
  record: RedemptionRecord,
  as: Settlement,
  origin: Origin,
): Promise<Exclude<SettleReply, { word: 'cold' }>> {
  const { tenant, order, uses, customer } = record;
  const keys: string[] = redemptionKeys(id);
  for (const { code } of uses) {
    const { coupon, customers, order: orderKey, changes, changed } = codeKeys(tenant, code, order);
    keys.push(coupon, customers, orderKey, changes, changed);
  }
  const target = as === 'committed' ? 'committed' : 'released';
  const event =
    as === 'committed' ? committedEvent(id, record, origin) : releasedEvent(id, record, origin, as);
  const args = [
    ...[uses.length, target, as, customer, event, SETTLED_MEMORY_MS, ORDER_MEMORY_MS],
    ...uses.map(({ discount }) => discount),
  ];
  // Each round warms one code of the stack, and what is warm stays so.
  for (let round = 0; round <= uses.length; round++) {
    const reply = await parts.scripts.settle(keys, args);
    if (reply.word !== 'cold') return reply;
    await warmCoupon(parts, tenant, uses[reply.index]!.code);
  }
  throw new Error(`counters of redemption ${id} do not stay in Redis`);
}
