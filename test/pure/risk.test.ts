// Rules of risk as they are evaluated: tables of what holds when, and properties that any rule set
// has.
import { describe, expect, test } from 'bun:test';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import {
  Assessment,
  REASONS_MAX,
  RiskRules,
  type Signals,
  riskSubjects,
  signalNames,
} from '../../schemas/risk.ts';
import { defaultRules } from '../../src/risk/default-rules.ts';
import { type Facts, evaluate } from '../../src/risk/evaluate.ts';
import { historySignals, memberOf, membersRead, parsed } from '../../src/risk/history.ts';

const facts = (signals: Signals, more: Partial<Facts> = {}): Facts => ({
  ...{ signals, currency: 'USD', methodType: 'card', denied: [], allowed: [] },
  ...more,
});

function one(rule: object): RiskRules {
  const given = { name: 'r', points: 500, reason: 'Because of {user_1h}.', ...rule };
  return { thresholds: { review: 500, block: 800 }, rules: [given] } as unknown as RiskRules;
}

const least = { when: [{ signal: 'user_1h', at_least: 3 }] };
const between = { when: [{ signal: 'user_1h', at_least: 3, at_most: 5 }] };
const both = {
  when: [
    { signal: 'user_1h', at_least: 3 },
    { signal: 'device_new', at_least: 1 },
  ],
};
const known = { when: [{ signal: 'device_1h' }] };

test.each([
  ['below its bound', least, { user_1h: 2 }, false],
  ['at its bound', least, { user_1h: 3 }, true],
  ['not known', least, {}, false],
  ['between', between, { user_1h: 5 }, true],
  ['above the upper bound', between, { user_1h: 6 }, false],
  ['one of two', both, { user_1h: 3, device_new: 0 }, false],
  ['both of two', both, { user_1h: 3, device_new: 1 }, true],
  ['known at all', known, { device_1h: 0 }, true],
  ['not known at all', known, { user_1h: 9 }, false],
  ['a currency of it', { ...least, currencies: ['INR', 'USD'] }, { user_1h: 3 }, true],
  ['another currency', { ...least, currencies: ['INR'] }, { user_1h: 3 }, false],
  ['a method of it', { ...least, method_types: ['card'] }, { user_1h: 3 }, true],
  ['another method', { ...least, method_types: ['upi'] }, { user_1h: 3 }, false],
])('a rule: %s', (_, rule, signals, holds) => {
  expect(evaluate(one(rule), facts(signals)).reasons).toHaveLength(holds ? 1 : 0);
});

test.each([
  [499, 'allow'],
  [500, 'review'],
  [799, 'review'],
  [800, 'block'],
])('a score of %d is %s', (points, decision) => {
  const verdict = evaluate(one({ ...least, points }), facts({ user_1h: 4 }));
  expect(verdict).toMatchObject({ score: points, decision });
});

test('a reason says the numbers', () => {
  const { reasons } = evaluate(one(least), facts({ user_1h: 7 }));
  expect(reasons).toEqual([{ rule: 'r', points: 500, text: 'Because of 7.' }]);
});

test('lists come before rules, and deny before allow', () => {
  const harmless = facts({});
  expect(evaluate(defaultRules, { ...harmless, denied: ['ip'] })).toEqual({
    score: 1_000,
    decision: 'block',
    reasons: [{ rule: 'deny_list', points: 1_000, text: 'The address is on the deny list.' }],
  });
  const suspicious = facts({ user_1h: 9 }, { allowed: ['user'] });
  const let_in = evaluate(one({ ...least, points: 900 }), suspicious);
  expect(let_in).toMatchObject({ score: 900, decision: 'allow' });
  expect(let_in.reasons.map(({ rule }) => rule)).toEqual(['allow_list', 'r']);
  const either = facts({}, { denied: ['token'], allowed: ['user'] });
  expect(evaluate(defaultRules, either).decision).toBe('block');
});

describe('whatever the rules and the signals', () => {
  const signals = fc.dictionary(
    fc.constantFrom(...signalNames),
    fc.double({ min: 0, max: 2_000, noNaN: true }),
  ) as fc.Arbitrary<Signals>;
  const rule = fc.record({
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    when: fc.array(fc.record({ signal: fc.constantFrom(...signalNames), at_least: fc.integer() }), {
      minLength: 1,
      maxLength: 3,
    }),
    points: fc.integer({ min: -1_000, max: 1_000 }),
    reason: fc.constantFrom('Odd.', '{user_1h} in an hour', '{amount_to_mean} times'),
  });
  const sets = fc.record({
    thresholds: fc.record({
      review: fc.integer({ min: 1, max: 1_000 }),
      block: fc.integer({ min: 1, max: 1_000 }),
    }),
    rules: fc.array(rule, { maxLength: 40 }),
  }) as fc.Arbitrary<RiskRules>;
  const listed = fc.subarray([...riskSubjects]);

  test('the verdict is one that an event can carry, and the same each time', () => {
    fc.assert(
      fc.property(sets, signals, listed, listed, (rules, seen, denied, allowed) => {
        const verdict = evaluate(rules, facts(seen, { denied, allowed }));
        expect([...Value.Errors(Assessment, verdict)]).toEqual([]);
        expect(verdict.reasons.length).toBeLessThanOrEqual(REASONS_MAX);
        expect(evaluate(rules, facts(seen, { denied, allowed }))).toEqual(verdict);
      }),
    );
  });

  test('the order of the rules does not matter to score and decision', () => {
    fc.assert(
      fc.property(sets, signals, (rules, seen) => {
        const turned = { ...rules, rules: rules.rules.toReversed() };
        const { score, decision } = evaluate(rules, facts(seen));
        expect(evaluate(turned, facts(seen))).toMatchObject({ score, decision });
      }),
    );
  });

  test('one more rule with points against it never makes a payment safer', () => {
    const order = ['allow', 'review', 'block'];
    fc.assert(
      fc.property(sets, rule, signals, (rules, more, seen) => {
        const worse = { ...more, points: Math.abs(more.points) } as RiskRules['rules'][number];
        const after = evaluate({ ...rules, rules: [...rules.rules, worse] }, facts(seen));
        const before = evaluate(rules, facts(seen));
        expect(after.score).toBeGreaterThanOrEqual(before.score);
        expect(order.indexOf(after.decision)).toBeGreaterThanOrEqual(
          order.indexOf(before.decision),
        );
      }),
    );
  });
});

test('the default rules are rules, and no one of them holds a payment back by itself', () => {
  expect([...Value.Errors(RiskRules, defaultRules)]).toEqual([]);
  for (const { name, points } of defaultRules.rules)
    expect([name, points < defaultRules.thresholds.review]).toEqual([name, true]);
  expect(new Set(defaultRules.rules.map(({ name }) => name)).size).toBe(defaultRules.rules.length);
});

test.each(['{user_1h', 'user_1h}', '{nothing}', '{user_1h} {}', '{{user_1h}}'])(
  'a reason that names no signal is refused: %s',
  (reason) => {
    const rules = one({ ...least, reason });
    expect(Value.Check(RiskRules, rules)).toBe(false);
    expect(Value.Check(RiskRules, one({ ...least, reason: 'Fünf 💳 {user_1h}' }))).toBe(true);
  },
);

describe('what a customer usually pays', () => {
  const device = 'd'.repeat(22);
  const token = 't'.repeat(22);
  const paid = (amounts: readonly number[], more: object = {}) =>
    amounts.map((amount) => ({
      ...{ currency: 'USD', amount, device: device.slice(0, 8), token: token.slice(0, 8) },
      ...more,
    }));
  const now = { amount: 10_000, currency: 'USD', device, token };

  test.each([
    ['nothing paid yet', [], now, { paid_count: 0, device_new: 0, token_new: 0 }],
    ['too few to tell', paid([1_000, 1_000]), now, { paid_count: 2, device_new: 0 }],
    [
      'five of 1,000, then ten times that',
      paid([1_000, 1_000, 1_000, 1_000, 1_000]),
      now,
      // Always the same: a twentieth of the mean stands for the deviation.
      { amount_to_mean: 10, amount_deviations: 180 },
    ],
    [
      'sample deviation',
      paid([2, 4, 4, 4, 5, 5, 7, 9].map((each) => each * 1_000)),
      now,
      { amount_to_mean: 2, amount_deviations: 2.34 },
    ],
    ['another currency', paid([1, 1, 1, 1, 1], { currency: 'INR' }), now, { paid_count: 5 }],
    ['another device', paid([1]), { ...now, device: 'e'.repeat(22) }, { device_new: 1 }],
    ['another token', paid([1]), { ...now, token: 'e'.repeat(22) }, { token_new: 1 }],
  ])('%s', (_, past, asked, expected) => {
    const signals = historySignals(past, asked);
    expect(signals).toMatchObject({ history_known: 1, ...expected });
    if (!('amount_to_mean' in expected)) expect(signals.amount_to_mean).toBeUndefined();
  });

  test('what is not known is said to be so, and nothing else is said', () => {
    expect(historySignals(null, now)).toEqual({ history_known: 0 });
    expect(historySignals([], { ...now, device: null }).device_new).toBeUndefined();
  });

  test('a member of what was paid is read as it was written, and is short', () => {
    const one = { id: `pay_${Bun.randomUUIDv7()}`, currency: 'USD', amount: 2 ** 53 - 1 };
    const member = memberOf({ ...one, device, token });
    expect(member.length).toBeLessThanOrEqual(64);
    expect(parsed(member)).toEqual({
      ...{ currency: 'USD', amount: 2 ** 53 - 1, device: 'dddddddd', token: 'tttttttt' },
    });
    const other = memberOf({ ...one, id: `pay_${Bun.randomUUIDv7()}`, device, token });
    expect(other).not.toBe(member);
    expect(membersRead([member, '?'])).toBeNull();
    expect(membersRead([member, '?', '!'])).toEqual([parsed(member)]);
  });
});
