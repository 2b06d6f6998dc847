// What the ledger says was given away, recomputed from its rows one by one, in the order of the
// decisions. The product's counters and balances are not asked.
// Invariant: pure; whatever order is not known (uses by stacks of a code that is not their first)
// must come without releases, so that the order does not matter.

/** A use taken or given back, as the ledger has it. */
export interface Step {
  code: string;
  id: string;
  customer: string;
  order: string;
  discount: number;
  version: number;
  taken: boolean;
}

export interface Limits {
  global: number | null;
  perCustomer: number | null;
  budget: number | null;
}

export interface Finding {
  /** The most that was held at once. */
  usesMost: number;
  budgetMost: number;
  /** While the terms had a limit for it. */
  customerMost: number;
  /** At the end. */
  usesHeld: number;
  budgetHeld: number;
  /** Uses that were taken over a limit of the terms they were decided by. */
  over: number;
  /** Orders that held two uses of the code at once. */
  doubled: number;
  /** Uses given back that were not held. */
  negative: number;
}

/** `steps`: of one code. `limitsOf`: of each version of its terms. */
export function audit(steps: readonly Step[], limitsOf: ReadonlyMap<number, Limits>): Finding {
  const found: Finding = {
    ...{ usesMost: 0, budgetMost: 0, customerMost: 0, usesHeld: 0, budgetHeld: 0 },
    ...{ over: 0, doubled: 0, negative: 0 },
  };
  const held = new Set<string>();
  const byCustomer = new Map<string, number>();
  const byOrder = new Map<string, number>();
  for (const step of steps) {
    const sign = step.taken ? 1 : -1;
    if (step.taken === held.has(step.id)) {
      found.negative++;
      continue;
    }
    if (step.taken) held.add(step.id);
    else held.delete(step.id);
    found.usesHeld += sign;
    found.budgetHeld += sign * step.discount;
    const customerHeld = count(byCustomer, step.customer, sign);
    const orderHeld = count(byOrder, step.order, sign);
    if (!step.taken) continue;
    if (orderHeld > 1) found.doubled++;
    found.usesMost = Math.max(found.usesMost, found.usesHeld);
    found.budgetMost = Math.max(found.budgetMost, found.budgetHeld);
    const limits = limitsOf.get(step.version);
    if (limits?.perCustomer) found.customerMost = Math.max(found.customerMost, customerHeld);
    if (isOver(found, customerHeld, limits)) found.over++;
  }
  return found;
}

function count(by: Map<string, number>, name: string, sign: number): number {
  const value = (by.get(name) ?? 0) + sign;
  by.set(name, value);
  return value;
}

function isOver(
  { usesHeld, budgetHeld }: Finding,
  customerHeld: number,
  limits: Limits | undefined,
): boolean {
  const exceeds = (value: number, limit: number | null): boolean => limit !== null && value > limit;
  return (
    limits === undefined ||
    exceeds(usesHeld, limits.global) ||
    exceeds(customerHeld, limits.perCustomer) ||
    exceeds(budgetHeld, limits.budget)
  );
}
