// What the clients of a fault run did and were told. An operation is ok, failed (it certainly had
// no effect) or unknown (it may have had one, once).
// Invariant: nothing here comes from the product but its answers.
import type { SentEvent } from '../auditor.ts';

export type Outcome = 'ok' | 'failed' | 'unknown';

/** When the try that was answered was sent, and when the answer came. */
export interface Times {
  askedMs: number;
  toldMs: number;
}

export interface Acknowledgement extends Times {
  event: SentEvent;
  position: string;
}

export interface BalanceRead extends Times {
  account: string;
  unit: string;
  amount: number;
  sequence: number;
  /** An event whose posting the answer must include. */
  after: string | null;
}

export interface Order {
  id: string;
  code: string;
  customer: string;
  /** Redemptions that the order was told it has. */
  redemptions: Set<string>;
  refused: boolean;
  /** What was tried, whatever came of it. */
  tried: Set<'commit' | 'release'>;
  told: ({ id: string; status: 'reserved' | 'committed' | 'released' } & Times)[];
}

/** Acknowledged from `sinceMs` on, and then cut off Redis's log. */
export interface Loss {
  sinceMs: number;
  untilMs: number;
}

export class History {
  readonly counts: Record<Outcome, number> = { ok: 0, failed: 0, unknown: 0 };
  /** What must never happen and did, in words. */
  readonly violations: string[] = [];
  /** Every body ever sent under an id. */
  readonly submitted = new Map<string, SentEvent[]>();
  readonly acknowledged: Acknowledgement[] = [];
  /** What `wait=ledger` said became of an event. */
  readonly verdicts: { id: string; verdict: string }[] = [];
  readonly reads: BalanceRead[] = [];
  readonly orders: Order[] = [];
  /** Ids of events that cannot be settled. */
  readonly poison = new Set<string>();
  readonly poisonAcknowledged: ({ id: string } & Times)[] = [];
  readonly losses: Loss[] = [];
  refusedForNow = 0;
  replays = 0;

  count(outcome: Outcome): void {
    this.counts[outcome]++;
  }

  violate(what: string): void {
    if (this.violations.length < 50) this.violations.push(what);
  }

  submit(event: SentEvent): void {
    const variants = this.submitted.get(event.id) ?? [];
    if (!variants.includes(event)) variants.push(event);
    this.submitted.set(event.id, variants);
  }

  /** Whether what was acknowledged then may be gone: a cut of the log took it back. */
  mayBeLost({ askedMs, toldMs }: Times): boolean {
    return this.losses.some(({ sinceMs, untilMs }) => toldMs >= sinceMs && askedMs <= untilMs);
  }
}
