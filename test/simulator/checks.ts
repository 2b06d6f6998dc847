// The invariants, each checked where it could break: at every commit, acknowledgement, trim, write
// to the cache and announcement. It keeps books of its own and shares no code with the engine.
// Invariant: the first violation is kept and ends the run; a check changes nothing it looks at.
import type { BatchItem } from '../../src/ledger/batch.ts';
import type { CacheModel, CachedHash } from './cache.ts';
import { type Ledger, type SentWrite, sizeOf } from './ledger.ts';
import type { KeptEntry } from './redis.ts';
import { type Kind, POOL, UNIT, userAccount } from './traffic.ts';

export type Invariant =
  | 'accounting'
  | 'acknowledged'
  | 'append'
  | 'broken'
  | 'cache'
  | 'dead'
  | 'decision'
  | 'effect'
  | 'fence'
  | 'floor'
  | 'liveness'
  | 'order'
  | 'trim';

export interface Violation {
  invariant: Invariant;
  text: string;
}

interface EventData {
  user_id: string;
  kind: Kind;
  amount: { amount: number };
}

interface Touched {
  offset: number;
  account: string;
  sequence: number;
}

const CULPRITS: readonly string[] = ['sour', 'throwing', 'wait'];

export class Checks {
  violation: Violation | null = null;
  /** Whether Redis has lost a tail: then offsets may be missing, or come twice. */
  mayLose = false;
  private readonly effects = new Set<string>();
  private readonly balances = new Map<string, number>();
  /** What commits of a stream have changed and its announcements do not cover yet. */
  private readonly touched = new Map<number, Touched[]>();
  ledger: Ledger | null = null;

  violate(invariant: Invariant, text: string): void {
    this.violation ??= { invariant, text };
  }

  committing(ledger: Ledger, { steps, outcomes }: SentWrite): void {
    for (const { stream, epoch, from, to, lost, renumbered } of steps) {
      const row = ledger.streams.get(stream)!;
      if (String(row.epoch) !== epoch)
        this.violate('fence', `${stream}: a commit under epoch ${epoch}, it is ${row.epoch}`);
      if (row.settled !== from || to < from)
        this.violate('order', `${stream}: a commit from ${from} to ${to}, it is at ${row.settled}`);
      if (!this.mayLose && lost.length + renumbered.length > 0)
        this.violate(
          'accounting',
          `${stream}: ${sizeOf(lost)} lost, ${sizeOf(renumbered)} renumbered`,
        );
      const fresh = outcomes.filter(({ item }) => item.stream === stream && item.attempts === 0);
      const offsets = fresh.map(({ item }) => item.offset).filter((offset) => offset > from);
      if (offsets.some((offset, index) => index > 0 && offset <= offsets[index - 1]!))
        this.violate('order', `${stream}: out of order: ${offsets.join(' ')}`);
    }
    for (const { item, reason } of outcomes) {
      if (this.effects.has(item.event.id))
        this.violate('effect', `${item.event.id} has an outcome already`);
      this.effects.add(item.event.id);
      this.decided(item, reason);
    }
  }

  /** By own books: users are touched by one stream only, so decisions about them are exact. */
  private decided({ event }: BatchItem, reason: string | null): void {
    const { user_id: user, kind, amount: money } = event.data as EventData;
    const account = kind === 'fund' || kind === 'draw' ? POOL : userAccount(user);
    const before = this.balances.get(account) ?? 0;
    const after = before + (kind === 'spend' || kind === 'draw' ? -money.amount : money.amount);
    const isTooMuch = (kind === 'spend' && after < 0) || (kind === 'wait' && before < money.amount);
    // The shared account may have been filled by another stream since it was looked at.
    if (kind !== 'draw' && isTooMuch !== (reason !== null))
      this.violate('decision', `${event.id}: ${kind} of ${money.amount} at ${before}: ${reason}`);
    if (reason === null) this.balances.set(account, after);
  }

  committed(ledger: Ledger, { steps, accounts, dead }: SentWrite): void {
    for (const { account } of accounts) {
      const { balance } = ledger.accounts.get(account)!;
      const isOurs = account === POOL || account.startsWith('user:');
      if (!isOurs) continue;
      if (balance < 0) this.violate('floor', `${account} is at ${balance}`);
      if (balance !== this.balances.get(account))
        this.violate('effect', `${account}: ${balance}, not ${this.balances.get(account)}`);
    }
    for (const { item, reason } of dead) {
      const { kind } = (item.event.data ?? {}) as { kind?: Kind };
      if (kind && !CULPRITS.includes(kind))
        this.violate('dead', `${item.event.id}, a ${kind}, is dead: ${reason}`);
    }
    for (const { stream, from, to } of steps) {
      this.balanced(ledger, stream);
      // A deferred event has no position of its own: nobody waits for it by one.
      if (to === from) continue;
      const touched = this.touchedOf(Number(stream.split('.')[1]));
      for (const { account } of accounts)
        touched.push({ offset: to, account, sequence: sequenceOf(ledger, account) });
    }
  }

  private balanced(ledger: Ledger, stream: string): void {
    const row = ledger.streams.get(stream)!;
    const accounted = row.posted + row.refused + row.dead + row.duplicate + row.deferred;
    if (row.settled !== accounted + row.lost - row.renumbered)
      this.violate('accounting', `${stream}: ${JSON.stringify(row)}`);
  }

  /** An entry may be acknowledged when all of its events are accounted for in the ledger. */
  acknowledged({ id, partition, first, events, damage }: KeptEntry): void {
    if (damage === 'foreign') return;
    const ledger = this.ledger!;
    const missing = events.filter(
      (event) => !isAccountedFor(ledger, event.id, `events.${partition}`, first),
    );
    if (missing.length > 0)
      this.violate('acknowledged', `entry ${id}: ${missing[0]!.id} is not in the ledger`);
  }

  /** Called with each hash that is written. */
  cached({ account, units }: CachedHash): void {
    const held = units.get(UNIT);
    if (!held) return;
    const { history } = this.ledger!.accounts.get(account) ?? { history: [0] };
    if (history[held.sequence] !== held.balance)
      this.violate('cache', `${account}: ${held.balance} as of ${held.sequence} was never so`);
  }

  announced(partition: number, offset: number, cache: CacheModel): void {
    const { settled } = this.ledger!.streams.get(`events.${partition}`)!;
    if (offset > settled) this.violate('order', `announced ${offset}, settled to ${settled}`);
    const touched = this.touchedOf(partition);
    for (const { account, sequence } of touched.filter((each) => each.offset <= offset)) {
      const hash = cache.find(account);
      if (!hash?.isComplete || hash.isDistrusted) continue;
      if ((hash.units.get(UNIT)?.sequence ?? 0) < sequence)
        this.violate('cache', `${partition}.${offset} announced, but ${account} is not cached`);
    }
    const left = touched.filter((each) => each.offset > offset);
    this.touched.set(partition, left);
  }

  private touchedOf(partition: number): Touched[] {
    let touched = this.touched.get(partition);
    if (!touched) this.touched.set(partition, (touched = []));
    return touched;
  }
}

export function sequenceOf(ledger: Ledger, account: string): number {
  return (ledger.accounts.get(account)?.history.length ?? 1) - 1;
}

/** By its id, or, where its bytes were damaged, by its entry's place. */
export function isAccountedFor(ledger: Ledger, id: string, stream: string, first: number): boolean {
  const isIt = (item: BatchItem): boolean =>
    item.event.id === id ||
    (item.stream === stream && item.broken !== null && item.offset === first);
  return (
    [...ledger.outcomes.values()].some((outcome) => outcome.id === id) ||
    ledger.dead.some(({ item }) => isIt(item)) ||
    ledger.conflicts.some((item) => isIt(item)) ||
    [...ledger.deferred.values()].some(({ item }) => isIt(item))
  );
}
