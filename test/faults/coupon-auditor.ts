// A second opinion on coupons: replays the redemption events that the ledger recorded, in the order
// of their stream, and counts uses for itself.
// Invariant: imports nothing of the product.

export interface RedemptionEvent {
  kind: 'reserved' | 'committed' | 'released';
  redemption: string;
  code: string;
  discount: number;
  customer: string;
  order: string;
  /** Why it was released; empty otherwise. */
  reason: string;
}

export interface Limits {
  code: string;
  global?: number;
  perCustomer?: number;
  budget?: number;
}

export interface RedemptionState {
  event: RedemptionEvent;
  status: RedemptionEvent['kind'];
  wasCommitted: boolean;
  releasedFor: string;
}

export interface CouponAudit {
  redemptions: Map<string, RedemptionState>;
  /** By code, what is in force at the end. */
  uses: Map<string, number>;
  budgets: Map<string, number>;
  problems: string[];
}

/** Events of one code share a stream, so theirs is the order that counts. */
export function auditCoupons(
  events: readonly RedemptionEvent[],
  limits: readonly Limits[],
): CouponAudit {
  const audit: CouponAudit = {
    redemptions: new Map(),
    uses: new Map(),
    budgets: new Map(),
    problems: [],
  };
  const limitsOf = new Map(limits.map((each) => [each.code, each]));
  for (const event of events) apply(event, audit, limitsOf.get(event.code));
  return audit;
}

function apply(event: RedemptionEvent, audit: CouponAudit, limits: Limits | undefined): void {
  const { kind, redemption, code, discount } = event;
  const known = audit.redemptions.get(redemption);
  const wrong = (what: string): void =>
    void audit.problems.push(`${redemption} (${code}): ${what}`);
  if (kind === 'reserved') {
    if (known) return wrong('reserved twice');
    const state: RedemptionState = { event, status: kind, wasCommitted: false, releasedFor: '' };
    audit.redemptions.set(redemption, state);
    move(audit, code, 1, discount);
    checkLimits(audit, event, limits, wrong);
    return;
  }
  if (!known) return wrong(`${kind} and never reserved`);
  if (kind === 'committed') {
    if (known.status !== 'reserved') wrong(`committed when ${known.status}`);
    known.wasCommitted = true;
  } else {
    if (known.status === 'released') wrong('released twice');
    known.releasedFor = event.reason;
    move(audit, code, -1, -discount);
  }
  known.status = kind;
}

function checkLimits(
  audit: CouponAudit,
  { code, customer, order, redemption }: RedemptionEvent,
  limits: Limits | undefined,
  wrong: (what: string) => void,
): void {
  const inForce = [...audit.redemptions].filter(
    ([, { event, status }]) => event.code === code && status !== 'released',
  );
  const uses = audit.uses.get(code)!;
  if (uses > (limits?.global ?? Infinity)) wrong(`use ${uses} of ${limits!.global}`);
  const own = inForce.filter(([, { event }]) => event.customer === customer).length;
  if (own > (limits?.perCustomer ?? Infinity)) wrong(`use ${own} of customer ${customer}`);
  const spent = audit.budgets.get(code)!;
  if (spent > (limits?.budget ?? Infinity)) wrong(`${spent} spent of ${limits!.budget}`);
  const twin = inForce.find(([id, { event }]) => id !== redemption && event.order === order);
  if (twin) wrong(`order ${order} holds ${twin[0]} too`);
}

function move(audit: CouponAudit, code: string, uses: number, discount: number): void {
  audit.uses.set(code, (audit.uses.get(code) ?? 0) + uses);
  audit.budgets.set(code, (audit.budgets.get(code) ?? 0) + discount);
}
