// Posting: turns one decision into entries, or into a refusal where a floor would be broken.
// Invariants, asserted here in production: a transaction sums to zero per unit; no leg is zero or
// beyond 2^53; a guarded account is debited only by an event that declared it.
import { AMOUNT_MAX } from '../../schemas/primitives.ts';
import type { Leg, LedgerEvent } from './decision.ts';
import type { AccountSlot, BatchState } from './state.ts';

/** One side of a posted transaction, with the account's running sum and count within the batch. */
export interface BatchEntry {
  slot: AccountSlot;
  amount: number;
  running: number;
  count: number;
}

export type Posted = { entries: BatchEntry[] } | { refused: string };

/** Thrown where a rule is wrong; the event goes to the dead letters, with this message. */
export class BrokenPosting extends Error {}

export function postLegs(event: LedgerEvent, legs: readonly Leg[], state: BatchState): Posted {
  assertBalanced(event, legs);
  const slots = legs.map((leg) => state.slot(event.tenant, leg.account, leg.unit));
  const refused = refusalOf(event, legs, slots);
  if (refused) return { refused };

  const entries = legs.map((leg, index): BatchEntry => {
    const slot = slots[index]!;
    slot.running += leg.amount;
    slot.count += 1;
    return { slot, amount: leg.amount, running: slot.running, count: slot.count };
  });
  for (const slot of slots) if (slot.running < slot.low) slot.low = slot.running;
  return { entries };
}

function assertBalanced(event: LedgerEvent, legs: readonly Leg[]): void {
  const sums = new Map<string, number>();
  for (const { amount, unit } of legs) {
    if (!Number.isSafeInteger(amount) || amount === 0)
      throw new BrokenPosting(
        `${event.type} posted an amount that is zero or not an exact integer`,
      );
    sums.set(unit, (sums.get(unit) ?? 0) + amount);
  }
  for (const [unit, sum] of sums)
    if (sum !== 0)
      throw new BrokenPosting(`${event.type} posted legs in ${unit} that sum to ${sum}`);
}

/** Floors and ranges are judged on what the whole transaction does to an account. */
function refusalOf(
  event: LedgerEvent,
  legs: readonly Leg[],
  slots: readonly AccountSlot[],
): string | null {
  const net = new Map<AccountSlot, number>();
  slots.forEach((slot, index) => net.set(slot, (net.get(slot) ?? 0) + legs[index]!.amount));
  for (const [slot, amount] of net) {
    const after = (slot.base ?? 0) + slot.running + amount;
    if (Math.abs(after) > AMOUNT_MAX || Math.abs(slot.running + amount) > AMOUNT_MAX)
      return 'balance_out_of_range';
    if (slot.floor === null || amount >= 0) continue;
    if (slot.base === null)
      throw new BrokenPosting(`${event.type} debited ${slot.account} without declaring it`);
    if (after < slot.floor) return 'insufficient_balance';
  }
  return null;
}
