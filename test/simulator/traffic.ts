// What clients send in a run: entries of a few events, some of them again, some under an id that is
// taken, some that no batch survives; and the rules by which the engine decides them. Each kind of
// event is there for one way of being decided.
// Invariant: a plan is plain data, and any part of it is a plan too.
import { eventDefinition } from '../../schemas/index.ts';
import type { Leg, LedgerEvent, Rule, State } from '../../src/ledger/decision.ts';
import { encodeEvent } from '../../src/stream/codec.ts';
import { partitionOf } from '../../src/stream/topology.ts';
import { Chance } from './chance.ts';

export const TENANT = 1;
export const UNIT = 'USD';
export const POOL = 'coupon:pool:budget';
export const PLATFORM = 'platform:simulator';
export const STREAMS = 4;

const definition = eventDefinition.get('earning.credited')!;

/** Users whose streams are the first few. */
export const users: readonly string[] = Array.from({ length: 400 }, (_, n) => `u_${n}`)
  .filter((user) => partitionOf(TENANT, user) < STREAMS)
  .slice(0, 7);

export const userAccount = (user: string): string => `user:${user}:earnings`;

/**
 * credit, spend: the user's balance up, or down to its floor. fund, draw: the same of one account
 * that all streams share. wait: deferred until the user has so much. spread: credits, and follows
 * up with a credit to the next user. sour: its write fails. throwing: its rule throws.
 */
export const kinds = [
  ...(['credit', 'spend', 'fund', 'draw', 'wait', 'spread', 'sour', 'throwing'] as const),
];
export type Kind = (typeof kinds)[number];

export interface PlannedEvent {
  id: string;
  user: string;
  kind: Kind;
  amount: number;
}

export interface PlannedEntry {
  atMs: number;
  partition: number;
  events: PlannedEvent[];
  /** Not in our format; or with its bytes cut short. */
  damage: 'none' | 'foreign' | 'cut';
}

interface Data {
  user_id: string;
  kind: Kind;
  amount: { amount: number; currency: string };
  reference: string;
}

export function drawTraffic(seed: number, durationMs: number): PlannedEntry[] {
  const chance = new Chance(seed ^ 0x7aff);
  const usual: readonly Kind[] = ['credit', 'credit', 'credit', 'spend', 'spend', 'fund', 'draw'];
  const odd = kinds.slice(4).filter(() => chance.chance(0.4));
  const repeats = chance.pick([0, 0.1, 0.4]);
  const sent: PlannedEvent[] = [];
  const entries: PlannedEntry[] = [];
  const bursts = chance.integer(1, 6);
  const count = chance.pick([5, 20, 60]);
  for (let index = 0; index < count; index++) {
    const user = chance.pick(users);
    const partition = partitionOf(TENANT, user);
    const mates = users.filter((mate) => partitionOf(TENANT, mate) === partition);
    const atMs = Math.floor((durationMs * chance.integer(0, bursts)) / bursts / 1.2);
    const events = Array.from({ length: chance.integer(1, 4) }, (_, place): PlannedEvent => {
      const before = sent.filter((event) => mates.includes(event.user));
      if (before.length > 0 && chance.chance(repeats)) {
        const again = chance.pick(before);
        return chance.chance(0.3) ? { ...again, amount: again.amount + 1 } : again;
      }
      const kind = odd.length > 0 && chance.chance(0.2) ? chance.pick(odd) : chance.pick(usual);
      const id = `e_${index}_${place}`;
      return { id, user: chance.pick(mates), kind, amount: chance.integer(1, 20) };
    });
    sent.push(...events);
    const damage = chance.chance(0.97) ? 'none' : chance.pick(['foreign', 'cut'] as const);
    entries.push({ atMs: atMs + chance.integer(0, 60), partition, events, damage });
  }
  return entries.sort((one, other) => one.atMs - other.atMs);
}

export function encodePlanned({ id, user, kind, amount }: PlannedEvent): Buffer {
  const data: Data = {
    user_id: user,
    kind,
    amount: { amount, currency: UNIT },
    reference: 'simulated',
  };
  return encodeEvent(definition, { tenant: TENANT, id, acceptedAt: 0, data });
}

const legs = (account: string, amount: number): Leg[] => [
  { account, unit: UNIT, amount },
  { account: PLATFORM, unit: UNIT, amount: -amount },
];

const rule: Rule<Data> = {
  type: definition.type,
  reads({ data }) {
    const account = data.kind === 'draw' ? POOL : userAccount(data.user_id);
    const looks = data.kind === 'spend' || data.kind === 'draw' || data.kind === 'wait';
    return looks ? { accounts: [{ account, unit: UNIT }] } : {};
  },
  decide({ data, id }: LedgerEvent<Data>, state: State) {
    const { kind, user_id: user } = data;
    const { amount } = data.amount;
    const account = userAccount(user);
    if (kind === 'throwing') throw new Error('a rule that throws');
    if (kind === 'spend') return { verdict: 'post', legs: legs(account, -amount) };
    if (kind === 'fund') return { verdict: 'post', legs: legs(POOL, amount) };
    if (kind === 'draw') return { verdict: 'post', legs: legs(POOL, -amount) };
    if (kind === 'wait' && state.balance(account, UNIT) < amount)
      return { verdict: 'defer', reason: 'not_enough_yet' };
    if (kind !== 'spread') return { verdict: 'post', legs: legs(account, amount) };
    const next = { ...data, user_id: nextUser(user), kind: 'credit' as const, reference: id };
    const followUps = [{ suffix: 'next', type: definition.type, data: next }];
    return { verdict: 'post', legs: legs(account, amount), followUps };
  },
};

export const nextUser = (user: string): string => users[(users.indexOf(user) + 1) % users.length]!;

export const simulatedRules: ReadonlyMap<string, Rule> = new Map([
  [definition.type, rule as unknown as Rule],
]);
