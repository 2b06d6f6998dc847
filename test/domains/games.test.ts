// The rule of completed games, as a table and as properties.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { rules } from '../../consumers/index.ts';
import type { PartnerTerms } from '../../schemas/games.ts';
import type { Decision, State } from '../../src/ledger/decision.ts';
import { AMOUNT_MAX } from '../../schemas/primitives.ts';

const rule = rules.get('game.completed')!;

function partner(key: string, share_bp: number, commission_bp: number, terms = {}) {
  const body: PartnerTerms = {
    name: key,
    share_bp,
    commission_bp,
    currency: 'USD',
    status: 'active',
    ...terms,
  };
  return { key, version: 1, body };
}

function decide(profit: number, partners: ReturnType<typeof partner>[], played = 0): Decision {
  const data = {
    game_id: 'g:1',
    profit: { amount: profit, currency: 'USD' },
    completed_at: '2026-01-31T12:00:00Z',
  };
  const event = { tenant: 1, id: 'e', type: 'game.completed', acceptedAt: 0, data };
  const state: State = {
    balance: () => -played,
    documents: <Body>() =>
      partners as unknown as readonly { key: string; version: number; body: Body }[],
    record: () => null,
  };
  return rule.decide(event, state);
}

/** What each partner earns, as `id amount`. */
function earned(decision: Decision): string[] {
  if (decision.verdict !== 'post') return [decision.verdict];
  return decision.legs
    .filter(({ account }) => account.startsWith('partner:'))
    .map(({ account, amount }) => `${account.split(':')[1]} ${amount}`);
}

const table: [what: string, profit: number, ...(readonly [string, number, number, object?])[]][] = [
  ['share and commission are both taken, once rounded: 1 2500', 1_000_00, ['1', 2_500, 1_000]],
  ['half to even, down: 1 2', 25, ['1', 10_000, 1_000]],
  ['half to even, up: 1 4', 35, ['1', 10_000, 1_000]],
  ['one minor unit exactly: 1 1', 10, ['1', 10_000, 1_000]],
  ['below one minor unit is dust, though it would round up:', 9, ['1', 10_000, 1_000]],
  ['a loss earns nothing:', -5_000, ['1', 10_000, 1_000]],
  ['a draw earns nothing:', 0, ['1', 10_000, 1_000]],
  ['a share of nothing earns nothing:', 5_000, ['1', 0, 1_000]],
  [
    'inactive and pending partners earn nothing: 3 500',
    5_000,
    ['1', 10_000, 1_000, { status: 'inactive' }],
    ['2', 10_000, 1_000, { status: 'pending' }],
    ['3', 10_000, 1_000],
  ],
  [
    'another currency earns nothing: 2 500',
    5_000,
    ['1', 10_000, 1_000, { currency: 'EUR' }],
    ['2', 10_000, 1_000],
  ],
  ['the largest profit stays exact: 1 9007199254740991', AMOUNT_MAX, ['1', 10_000, 10_000]],
];

for (const [what, profit, ...partners] of table)
  test(what, () => {
    const expected = /:(.*)$/.exec(what)![1]!.trim();
    const decision = decide(
      profit,
      partners.map(([id, ...terms]) => partner(id, ...terms)),
    );
    expect(earned(decision).join(', ')).toBe(expected);
  });

test('a game that was played already is refused, whatever its event is called', () => {
  expect(decide(100, [], 1)).toEqual({ verdict: 'refuse', reason: 'already_completed', rows: [] });
});

test('legs sum to zero per unit, and no partner earns more than the profit shown', () => {
  const partners = fc.array(fc.tuple(fc.nat(10_000), fc.nat(10_000)), { maxLength: 30 });
  fc.assert(
    fc.property(fc.integer({ min: -1_000, max: 1_000_000_000 }), partners, (profit, terms) => {
      const decision = decide(
        profit,
        terms.map(([share, commission], index) => partner(String(index), share, commission)),
      );
      if (decision.verdict !== 'post') throw new Error('not posted');
      const sums = new Map<string, number>();
      for (const { unit, amount } of decision.legs) sums.set(unit, (sums.get(unit) ?? 0) + amount);
      expect([...sums.values()].every((sum) => sum === 0)).toBe(true);
      for (const { account, amount } of decision.legs)
        if (account.startsWith('partner:')) expect(amount >= 1 && amount <= profit).toBe(true);
    }),
  );
});
