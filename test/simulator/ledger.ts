// Postgres as far as the engine can tell: leases, and the ledger behind `ledger_write`, with the
// checks of sql/queries/ledger.sql and streams.sql in their order. A statement locks the rows of
// its streams by name, waits for them, and commits at one instant, or leaves nothing.
// Invariant: what a statement would raise, it raises before it changes anything.
import type { BatchItem, BatchPlan, KnownOutcome, StreamCounts } from '../../src/ledger/batch.ts';
import type { LeaseView } from '../../src/store/leases.ts';
import type { StreamStep, WriteFault } from '../../src/store/writer.ts';
import type { Checks } from './checks.ts';
import type { Mutations } from './mutations.ts';
import type { Kind } from './traffic.ts';

export class StoreFault extends Error {
  constructor(readonly fault: WriteFault) {
    super(`the store says: ${fault}`);
  }
}

/** A plan as it travels: nothing of it changes after it was sent. */
export interface SentWrite {
  steps: readonly StreamStep[];
  counts: ReadonlyMap<string, StreamCounts>;
  outcomes: readonly { item: BatchItem; reason: string | null }[];
  accounts: readonly SentAccount[];
  conflicts: readonly BatchItem[];
  dead: readonly { item: BatchItem; reason: string }[];
  deferred: readonly { item: BatchItem; delayMs: number }[];
  undeferred: readonly BatchItem[];
  followUps: readonly { id: string; type: string; data: object }[];
}

export interface SentAccount {
  account: string;
  floor: number | null;
  delta: number;
  low: number;
  count: number;
}

export interface StreamRecord extends StreamCounts {
  owner: string | null;
  epoch: number;
  settled: number;
  renumbered: number;
  lost: number;
}

export interface DeferredRow {
  item: BatchItem;
  attempts: number;
  retryAtMs: number;
}

export interface AccountRecord {
  balance: number;
  /** The balance after each entry; its index is the sequence. */
  history: number[];
}

export const NO_ACCOUNT: AccountRecord = { balance: 0, history: [0] };

export const sizeOf = (runs: readonly { count: number }[]): number =>
  runs.reduce((sum, { count }) => sum + count, 0);

const placeOf = ({ stream, offset, key }: BatchItem): string => `${stream}.${offset} ${key}`;

export class Ledger {
  readonly streams = new Map<string, StreamRecord>();
  readonly outcomes = new Map<string, KnownOutcome & { id: string; reason: string | null }>();
  readonly accounts = new Map<string, AccountRecord>();
  readonly deferred = new Map<string, DeferredRow>();
  readonly dead: { item: BatchItem; reason: string }[] = [];
  readonly conflicts: BatchItem[] = [];
  readonly outbox = new Map<string, { id: string; eventId: string; type: string; data: object }>();
  private readonly workers = new Map<string, { instance: string; untilMs: number }>();
  private lastRow = 0;

  constructor(
    names: readonly string[],
    private readonly now: () => number,
    private readonly checks: Checks,
    private readonly mutations: Mutations,
  ) {
    const counts = { posted: 0, refused: 0, dead: 0, duplicate: 0, deferred: 0 };
    for (const name of names)
      this.streams.set(name, {
        ...{ owner: null, epoch: 0, settled: 0, renumbered: 0, lost: 0, ...counts },
      });
  }

  alive(): string[] {
    const living = [...this.workers].filter(([, { untilMs }]) => untilMs > this.now());
    return living.map(([name]) => name).sort();
  }

  renew(worker: string, instance: string, leaseMs: number, starting: boolean): LeaseView {
    const held = this.workers.get(worker);
    const current = starting || held?.instance === instance;
    if (current) this.workers.set(worker, { instance, untilMs: this.now() + leaseMs });
    const streams = [...this.streams].map(([stream, { owner, epoch, settled }]) => {
      return { stream, owner, epoch: String(epoch), settled, takers: this.alive() };
    });
    return { current, streams };
  }

  /** `alive` is as of the statement's start: it does not look again after waiting for the row. */
  acquire(stream: string, worker: string, alive: readonly string[]) {
    const row = this.streams.get(stream)!;
    if (row.owner !== null && row.owner !== worker && alive.includes(row.owner)) return null;
    row.owner = worker;
    row.epoch++;
    return { epoch: String(row.epoch), settled: row.settled };
  }

  release(streams: readonly { name: string; epoch: string }[]): void {
    for (const { name, epoch } of streams) {
      const row = this.streams.get(name)!;
      if (String(row.epoch) === epoch) row.owner = null;
    }
  }

  leave(worker: string, instance: string): void {
    if (this.workers.get(worker)?.instance === instance) this.workers.delete(worker);
  }

  isElsewhere(key: string): boolean {
    return (
      this.dead.some(({ item }) => item.key === key) ||
      this.conflicts.some((item) => item.key === key) ||
      [...this.deferred.values()].some(({ item }) => item.key === key)
    );
  }

  due(streams: readonly string[], limit: number): DeferredRow[] {
    return [...this.deferred.values()]
      .filter(({ item, retryAtMs }) => streams.includes(item.stream) && retryAtMs <= this.now())
      .slice(0, limit);
  }

  /** Commits, or throws a StoreFault. */
  write(sent: SentWrite): { balance: number; sequence: number }[] {
    this.refuse(sent);
    this.checks.committing(this, sent);
    for (const step of sent.steps) this.move(step, sent.counts.get(step.stream));
    for (const { item, reason } of sent.outcomes) {
      const { key, fingerprint, stream, offset, body } = item;
      const { id, type } = item.event;
      this.outcomes.set(key, { id, type, fingerprint, stream, offset, body, reason });
    }
    const written = sent.accounts.map(({ account, delta, count }) => {
      const { balance, history } = this.accounts.get(account) ?? NO_ACCOUNT;
      // Within a batch only the last balance is ever shown; those between are not cached.
      const between = Array.from({ length: count - 1 }, () => NaN);
      const after = [...history, ...between, balance + delta];
      this.accounts.set(account, { balance: balance + delta, history: after });
      return { balance: balance + delta, sequence: after.length - 1 };
    });
    this.writeSides(sent);
    this.checks.committed(this, sent);
    return written;
  }

  private refuse({ steps, outcomes, accounts, dead }: SentWrite): void {
    const isExpected = ({ stream, epoch, from }: StreamStep): boolean => {
      const row = this.streams.get(stream)!;
      return String(row.epoch) === epoch && row.settled === from;
    };
    if (!this.mutations.checksNoEpoch && !steps.every(isExpected)) throw new StoreFault('fenced');
    const kept = outcomes.map(({ item }) => item);
    if (kept.some(({ key }) => this.outcomes.has(key))) throw new StoreFault('repeat');
    const kindOf = ({ event }: BatchItem): Kind | undefined =>
      (event.data as { kind?: Kind } | null)?.kind;
    if (kept.some((item) => kindOf(item) === 'sour')) throw new StoreFault('data');
    if (dead.some(({ item }) => item.broken === null && kindOf(item) === 'sour'))
      throw new StoreFault('data');
    const breaksFloor = ({ account, floor, low }: SentAccount): boolean =>
      floor !== null && (this.accounts.get(account) ?? NO_ACCOUNT).balance + low < floor;
    if (accounts.some(breaksFloor)) throw new StoreFault('floor');
  }

  private move(step: StreamStep, counts: StreamCounts | undefined): void {
    const row = this.streams.get(step.stream)!;
    row.settled = step.to;
    row.renumbered += sizeOf(step.renumbered);
    row.lost += sizeOf(step.lost);
    if (!counts) return;
    for (const name of ['posted', 'refused', 'dead', 'duplicate', 'deferred'] as const)
      row[name] += counts[name];
  }

  private writeSides({ conflicts, dead, deferred, undeferred, followUps }: SentWrite): void {
    this.conflicts.push(...conflicts);
    this.dead.push(...dead);
    for (const { item, delayMs } of deferred)
      this.deferred.set(placeOf(item), {
        item,
        attempts: item.attempts + 1,
        retryAtMs: this.now() + delayMs,
      });
    for (const item of undeferred) this.deferred.delete(placeOf(item));
    for (const { id: eventId, type, data } of followUps) {
      const id = String(++this.lastRow);
      this.outbox.set(id, { id, eventId, type, data });
    }
  }
}

/** A copy of what a plan says, as the parameters of a statement would be. */
export function sendable(
  plan: BatchPlan,
  steps: readonly StreamStep[],
  { next }: { next: () => number },
): SentWrite {
  const counts = new Map([...plan.counts].map(([stream, count]) => [stream, { ...count }]));
  return {
    steps: steps.map((step) => ({ ...step })),
    counts,
    outcomes: plan.outcomes.map(({ item, reason }) => ({ item, reason })),
    accounts: plan.state.touched().map(({ account, floor, running, low, count }) => {
      return { account, floor, delta: running, low, count };
    }),
    conflicts: plan.conflicts.map(({ item }) => item),
    dead: plan.dead.map(({ item, reason }) => ({ item: { ...item }, reason })),
    deferred: plan.deferred.map(({ item }) => ({ item, delayMs: 50 + 500 * next() })),
    undeferred: [...plan.undeferred],
    followUps: plan.followUps.map(({ followUp: { suffix, type, data }, item }) => {
      return { id: `${item.event.id}/${suffix}`, type, data };
    }),
  };
}
