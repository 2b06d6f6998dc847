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
  const unit = legs[0]?.unit;
  let sum = 0;
  let others = false;
  for (const leg of legs) {
    if (!Number.isSafeInteger(leg.amount) || leg.amount === 0)
      throw new BrokenPosting(
        `${event.type} posted an amount that is zero or not an exact integer`,
      );
    if (leg.unit === unit) sum += leg.amount;
    else others = true;
  }
  if (sum !== 0) throw new BrokenPosting(`${event.type} posted legs in ${unit} that sum to ${sum}`);
  if (others)
    assertBalanced(
      event,
      legs.filter((leg) => leg.unit !== unit),
    );
}

/** Floors and ranges are judged on what the whole transaction does to an account. */
function refusalOf(
  event: LedgerEvent,
  legs: readonly Leg[],
  slots: readonly AccountSlot[],
): string | null {
  // Nearly every transaction: two accounts, one leg on each.
  if (slots.length === 2 && slots[0] !== slots[1])
    return (
      refusalBy(event, slots[0]!, legs[0]!.amount) ?? refusalBy(event, slots[1]!, legs[1]!.amount)
    );
  const net = new Map<AccountSlot, number>();
  slots.forEach((slot, index) => net.set(slot, (net.get(slot) ?? 0) + legs[index]!.amount));
  for (const [slot, amount] of net) {
    const refused = refusalBy(event, slot, amount);
    if (refused) return refused;
  }
  return null;
}

function refusalBy(event: LedgerEvent, slot: AccountSlot, amount: number): string | null {
  const after = (slot.base ?? 0) + slot.running + amount;
  if (Math.abs(after) > AMOUNT_MAX || Math.abs(slot.running + amount) > AMOUNT_MAX)
    return 'balance_out_of_range';
  if (slot.floor === null || amount >= 0) return null;
  if (slot.base === null)
    throw new BrokenPosting(`${event.type} debited ${slot.account} without declaring it`);
  return after < slot.floor ? 'insufficient_balance' : null;
}
