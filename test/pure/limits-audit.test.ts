// The judge of `npm run prove:limits`, judged: against a simpler reckoning over random histories,
// and with a use planted over each limit.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Limits, type Step, audit } from '../prove/audit.ts';

const NONE: Limits = { global: null, perCustomer: null, budget: null };

function taken(id: string, more: Partial<Step> = {}): Step {
  const step = { code: 'A', id, customer: `c_${id}`, order: `o_${id}`, discount: 100, version: 1 };
  return { ...step, taken: true, ...more };
}
const back = (step: Step): Step => ({ ...step, taken: false });
const under = (limits: Partial<Limits>) => new Map([[1, { ...NONE, ...limits }]]);

describe('a use over a limit is found', () => {
  const cases: [name: string, limits: Partial<Limits>, over: Partial<Step>][] = [
    ['of all', { global: 2 }, {}],
    ['of a customer', { perCustomer: 1 }, { customer: 'c_1' }],
    ['of a budget', { budget: 250 }, { discount: 51 }],
  ];
  test.each(cases)('%s', (_, limits, over) => {
    const two = [taken('1'), taken('2')];
    expect(audit(two, under(limits)).over).toBe(0);
    expect(audit([...two, taken('3', over)], under(limits)).over).toBe(1);
    expect(audit([...two, back(two[0]!), taken('3', over)], under(limits)).over).toBe(0);
  });

  test('by the terms that decided it, whatever they became', () => {
    const limits = new Map([
      [1, { ...NONE, global: 2 }],
      [2, { ...NONE, global: 1 }],
    ]);
    const two = [taken('1'), taken('2')];
    expect(audit(two, limits).over).toBe(0);
    expect(audit([...two, taken('3', { version: 2 })], limits).over).toBe(1);
    expect(audit([taken('1', { version: 3 })], limits).over).toBe(1);
  });
});

test('a use taken twice, given back twice or doubled by its order is found', () => {
  const one = taken('1');
  expect(audit([one, one], under({})).negative).toBe(1);
  expect(audit([one, back(one), back(one)], under({})).negative).toBe(1);
  expect(audit([one, taken('2', { order: 'o_1' })], under({})).doubled).toBe(1);
});

const history = fc.array(
  fc.record({ id: fc.nat(8), taken: fc.boolean(), customer: fc.nat(2), discount: fc.nat(500) }),
  { maxLength: 60 },
);

test('what it finds most is what a simpler reckoning finds', () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 1, max: 6 }), (raw, global) => {
      // Each id keeps its customer and sum.
      const first = new Map(raw.toReversed().map((step) => [step.id, step]));
      const steps = raw.map(({ id, taken: isTaken }) => {
        const { customer, discount } = first.get(id)!;
        return taken(String(id), { customer: `c_${customer}`, discount, taken: isTaken });
      });
      const found = audit(steps, under({ global, perCustomer: 2 }));
      let held: Step[] = [];
      let [uses, budget, over, negative] = [0, 0, 0, 0];
      for (const step of steps) {
        const has = held.some(({ id }) => id === step.id);
        if (has === step.taken) negative++;
        else if (!step.taken) held = held.filter(({ id }) => id !== step.id);
        else {
          held = [...held, step];
          uses = Math.max(uses, held.length);
          budget = Math.max(
            budget,
            held.reduce((sum, { discount }) => sum + discount, 0),
          );
          const ofCustomer = held.filter(({ customer }) => customer === step.customer).length;
          if (held.length > global || ofCustomer > 2) over++;
        }
      }
      expect(found).toMatchObject({ usesMost: uses, budgetMost: budget, over, negative });
      expect(found.usesHeld).toBe(held.length);
    }),
  );
});
