// The pure core: what a batch becomes, for any events.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { type BatchItem, planBatch } from '../../src/ledger/batch.ts';
import { type Decision, type Leg, type Rule, post } from '../../src/ledger/decision.ts';
import { accountKey, eventKey, fingerprint } from '../../src/ledger/identity.ts';
import { BrokenPosting, postLegs } from '../../src/ledger/posting.ts';
import { BatchState } from '../../src/ledger/state.ts';

interface Transfer {
  from: string;
  to: string;
  amount: number;
}

const transfer: Rule<Transfer> = {
  type: 'transfer',
  reads: ({ data }) => ({ accounts: [{ account: data.from, unit: 'USD' }] }),
  decide: ({ data }) =>
    post([
      { account: data.from, unit: 'USD', amount: -data.amount },
      { account: data.to, unit: 'USD', amount: data.amount },
    ]),
};

function itemOf(id: string, data: unknown, offset: number, type = 'transfer'): BatchItem {
  const body = Buffer.from(JSON.stringify(data));
  return {
    stream: 'events.0',
    offset,
    events: 1,
    key: eventKey(1, id),
    fingerprint: fingerprint(type, body),
    attempts: 0,
    event: { tenant: 1, id, type, acceptedAt: 0, data },
    definition: null,
    traceparent: null,
    body,
    broken: null,
  };
}

function plan(items: BatchItem[], rule: Rule, opening: Record<string, number> = {}) {
  const state = new BatchState();
  const readsOf = new Map(items.map((item) => [item, rule.reads(item.event)]));
  for (const reads of readsOf.values())
    for (const { account, unit } of reads.accounts ?? [])
      state.slot(1, account, unit).base = opening[account] ?? 0;
  const rules = new Map([['transfer', rule]]);
  return planBatch({ items, readsOf, known: new Map(), rules, state, deferralsMax: 3 });
}

const accounts = ['user:a:earnings', 'user:b:earnings', 'platform:x', 'platform:y'];
const transfers = fc.array(
  fc.record({
    id: fc.nat(40).map((n) => `e_${n}`),
    from: fc.constantFrom(...accounts),
    to: fc.constantFrom(...accounts),
    amount: fc.integer({ min: 1, max: 50 }),
  }),
  { maxLength: 80 },
);

test('any batch: each event is accounted for once, floors hold, running sums chain', () => {
  fc.assert(
    fc.property(transfers, fc.nat(100), (list, opening) => {
      const items = list.map(({ id, ...data }, index) => itemOf(id, data, index + 1));
      const result = plan(items, transfer as unknown as Rule, { 'user:a:earnings': opening });
      const counts = result.counts.get('events.0');
      const total = counts ? counts.posted + counts.refused + counts.dead + counts.duplicate : 0;
      expect(total).toBe(list.length);
      expect(new Set(result.outcomes.map(({ item }) => item.key)).size).toBe(
        result.outcomes.length,
      );

      const running = new Map<string, { sum: number; count: number; low: number }>();
      for (const { entries } of result.outcomes) {
        for (const { slot, amount, running: after, count } of entries) {
          const held = running.get(slot.key) ?? { sum: 0, count: 0, low: 0 };
          expect([after, count]).toEqual([held.sum + amount, held.count + 1]);
          running.set(slot.key, { ...held, sum: after, count });
        }
        for (const { slot } of entries) {
          const held = running.get(slot.key)!;
          held.low = Math.min(held.low, held.sum);
          if (slot.floor !== null)
            expect((slot.base ?? 0) + held.sum).toBeGreaterThanOrEqual(slot.floor);
        }
      }
      for (const slot of result.state.touched())
        expect([slot.running, slot.count, slot.low]).toEqual(
          Object.values(running.get(slot.key)!).slice(0, 2).concat(running.get(slot.key)!.low),
        );
    }),
  );
});

test('accounts are locked in one order, whatever order events name them in', () => {
  const keys = (list: string[]): string[] => {
    const items = list.map((to, n) =>
      itemOf(`e_${n}`, { from: 'platform:x', to, amount: 1 }, n + 1),
    );
    return plan(items, transfer as unknown as Rule)
      .state.touched()
      .map(({ key }) => key);
  };
  expect(keys(accounts)).toEqual(keys(accounts.toReversed()));
  expect(keys(accounts)).toEqual(keys(accounts).toSorted());
});

test('same id: the same body is a duplicate, another a conflict, also within one batch', () => {
  const data = { from: 'platform:x', to: 'platform:y', amount: 5 };
  const result = plan(
    [itemOf('a', data, 1), itemOf('a', data, 2), itemOf('a', { ...data, amount: 6 }, 3)],
    transfer as unknown as Rule,
  );
  expect(result.counts.get('events.0')).toMatchObject({ posted: 1, duplicate: 1, refused: 1 });
  expect(result.conflicts.map(({ item }) => item.offset)).toEqual([3]);
});

function deciding(decision: () => Decision): Rule {
  return { type: 'transfer', reads: () => ({}), decide: decision };
}

const faulty: [what: string, legs: Leg[], message: RegExp][] = [
  ['unbalanced', [{ account: 'x', unit: 'USD', amount: 1 }], /sum to 1/],
  [
    'balanced over two currencies',
    [
      { account: 'x', unit: 'USD', amount: 1 },
      { account: 'y', unit: 'EUR', amount: -1 },
    ],
    /legs in USD that sum to 1/,
  ],
  ['zero', [{ account: 'x', unit: 'USD', amount: 0 }], /zero or not an exact integer/],
  [
    'fractional',
    [
      { account: 'x', unit: 'USD', amount: 0.5 },
      { account: 'y', unit: 'USD', amount: -0.5 },
    ],
    /zero or not an exact integer/,
  ],
  [
    'debiting a guarded account undeclared',
    [
      { account: 'user:a:earnings', unit: 'USD', amount: -1 },
      { account: 'y', unit: 'USD', amount: 1 },
    ],
    /debited user:a:earnings without declaring it/,
  ],
];

for (const [what, legs, message] of faulty)
  test(`a rule whose legs are ${what} costs its own event, and says why`, () => {
    const { event } = itemOf('a', {}, 1);
    expect(() => postLegs(event, legs, new BatchState())).toThrow(BrokenPosting);
    const result = plan(
      [itemOf('a', {}, 1)],
      deciding(() => post(legs)),
    );
    expect(result.dead).toEqual([
      expect.objectContaining({ reason: 'rule_failed', detail: expect.stringMatching(message) }),
    ]);
    expect(result.state.touched()).toEqual([]);
  });

test('a rule that throws, or reads what it did not declare, costs its own event only', () => {
  const nosy: Rule = {
    type: 'transfer',
    reads: () => ({}),
    decide: ({ id }, state) => {
      if (id === 'a') state.balance('user:a:earnings', 'USD');
      if (id === 'b') state.documents('partners');
      return post([]);
    },
  };
  const result = plan([itemOf('a', {}, 1), itemOf('b', {}, 2), itemOf('c', {}, 3)], nosy);
  expect(result.dead.map(({ detail }) => detail)).toEqual([
    'transfer read the balance of user:a:earnings undeclared',
    'transfer read documents of kind partners undeclared',
  ]);
  expect(result.counts.get('events.0')).toMatchObject({ posted: 1, dead: 2 });
});

test('keys do not depend on where a name is cut', () => {
  expect(accountKey(1, 'a', 'USD')).not.toBe(accountKey(11, 'a', 'USD'));
  expect(eventKey(1, '1a')).not.toBe(eventKey(11, 'a'));
  expect(eventKey(1, 'a')).toMatch(/^[0-9a-f]{32}$/);
});

test('what has waited in vain is decided otherwise, or is a dead letter', () => {
  const waiting = (otherwise?: Extract<Decision, { verdict: 'post' }>): Rule =>
    ({
      ...transfer,
      decide: () => ({ verdict: 'defer', reason: 'not_yet', ...(otherwise && { otherwise }) }),
    }) as unknown as Rule;
  const data = { from: 'platform:x', to: 'platform:y', amount: 5 };
  const settled = (attempts: number, rule: Rule) => {
    const item = { ...itemOf('a', data, 1), attempts };
    const { outcomes, deferred, dead, undeferred, rows, counts } = plan([item], rule);
    const sizes = [outcomes, deferred, dead, undeferred, rows].map(({ length }) => length);
    return { sizes, counts: counts.get('events.0') };
  };
  const rows = [{ table: 'kept', values: {} }];
  const patient = waiting({ verdict: 'post', legs: [], rows });
  expect(settled(0, patient).sizes).toEqual([0, 1, 0, 0, 0]);
  expect(settled(2, patient).sizes).toEqual([0, 1, 0, 0, 0]);
  expect(settled(3, patient)).toMatchObject({
    sizes: [1, 0, 0, 1, 1],
    counts: { posted: 1, deferred: -1, dead: 0 },
  });
  expect(settled(3, waiting())).toMatchObject({
    sizes: [0, 0, 1, 1, 0],
    counts: { posted: 0, deferred: -1, dead: 1 },
  });
});
