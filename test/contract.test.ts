// What every domain promises, checked for every example of every event without naming any: a new
// domain is picked up unasked. An example validates, survives the codec, is decided the same twice,
// balances, and stays within what its rule said it reads.
import { Value } from '@sinclair/typebox/value';
import { describe, expect, test } from 'bun:test';
import { rules } from '../consumers/index.ts';
import { domains } from '../schemas/domains.ts';
import type { EventDefinition } from '../schemas/events.ts';
import { eventDefinition, eventDefinitions } from '../schemas/index.ts';
import { floorOf } from '../src/ledger/accounts.ts';
import type { Decision, LedgerEvent, Reads, Rule, State } from '../src/ledger/decision.ts';
import { decodeEntry, encodeEvent } from '../src/stream/codec.ts';

const cases = eventDefinitions.flatMap((definition) =>
  definition.examples.map((data, index) => ({
    name: `${definition.type} #${index + 1}`,
    definition,
    data,
  })),
);

const ruleList: readonly Rule[] = [...rules.values()];

function ledgerEvent(definition: EventDefinition, data: object): LedgerEvent {
  return { tenant: 1, id: 'evt_1', type: definition.type, acceptedAt: 1_767_225_600_000, data };
}

/** A state that answers only what was named, and keeps what was asked in vain. */
function stateOf(reads: Reads, balance: number, strays: string[]): State {
  const accounts = new Set(reads.accounts?.map(({ account, unit }) => `${account} ${unit}`));
  const kinds = new Set(reads.documents?.map(({ kind }) => kind));
  const records = new Set(reads.records?.map(({ table, key }) => `${table} ${key}`));
  return {
    balance(account, unit) {
      if (!accounts.has(`${account} ${unit}`)) strays.push(`${account} ${unit}`);
      return balance;
    },
    documents(kind) {
      if (!kinds.has(kind)) strays.push(kind);
      return [];
    },
    record(table, key) {
      if (!records.has(`${table} ${key}`)) strays.push(`${table} ${key}`);
      return null;
    },
  };
}

function decide(definition: EventDefinition, data: object, balance = 1_000_000) {
  const rule = rules.get(definition.type)!;
  const event = ledgerEvent(definition, structuredClone(data));
  const strays: string[] = [];
  const reads = rule.reads(event);
  const decision = rule.decide(event, stateOf(reads, balance, strays));
  return { decision, reads, strays };
}

function sums(decision: Decision): Record<string, number> {
  const byUnit: Record<string, number> = {};
  if (decision.verdict === 'post')
    for (const { unit, amount } of decision.legs) byUnit[unit] = (byUnit[unit] ?? 0) + amount;
  return byUnit;
}

describe.each(cases)('$name', ({ definition, data }) => {
  test('validates', () => {
    expect([...Value.Errors(definition.data, data)]).toEqual([]);
  });

  test('is refused with a property that its schema does not name', () => {
    expect(Value.Check(definition.data, { ...data, not_in_the_schema: 1 })).toBe(false);
  });

  test('survives the codec, among others in one entry', () => {
    const event = {
      tenant: 7,
      id: 'evt_1',
      acceptedAt: 1_767_225_600_123,
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      time: '2026-01-31T12:00:00.5Z',
      data,
    };
    const first = encodeEvent(definition, event);
    const second = encodeEvent(definition, { ...event, id: 'evt_2' });
    const decoded = decodeEntry(Buffer.concat([first, second]));
    expect(decoded).toHaveLength(2);
    expect(decoded[0]).toMatchObject({ ...event, type: definition.type });
    expect(decoded[1]).toMatchObject({ ...event, id: 'evt_2', type: definition.type });
    expect((decoded[0] as { data: object }).data).toEqual(data);
  });

  test('has an order key', () => {
    expect(definition.orderKey(data)).toBeString();
    expect(definition.orderKey(data)).not.toBe('');
  });

  test('is decided the same twice, and the event is left as it was', () => {
    const before = structuredClone(data);
    expect(decide(definition, data).decision).toEqual(decide(definition, data).decision);
    expect(data).toEqual(before);
  });

  test.each([0, 1_000_000])('posts integers that sum to zero per unit, at a balance of %p', (n) => {
    const { decision } = decide(definition, data, n);
    for (const [unit, sum] of Object.entries(sums(decision)))
      expect(`${unit} ${sum}`).toBe(`${unit} 0`);
    if (decision.verdict === 'post')
      for (const leg of decision.legs) expect(leg.amount).toSatisfy(Number.isSafeInteger);
    else expect(decision.reason).toMatch(/^[a-z][a-z0-9_]*$/);
  });

  test('stays within its declared reads', () => {
    expect(decide(definition, data).strays).toEqual([]);
  });

  test('declares every guarded account that it debits', () => {
    const { decision, reads } = decide(definition, data);
    const legs = decision.verdict === 'post' ? decision.legs : [];
    for (const { account, unit, amount } of legs)
      if (amount < 0 && floorOf(account) !== null)
        expect(reads.accounts).toContainEqual({ account, unit });
  });
});

describe('the names of events', () => {
  test('each has exactly one definition', () => {
    expect(eventDefinition.size).toBe(eventDefinitions.length);
  });

  test('each has exactly one consumer', () => {
    const owned = ruleList.map(({ type }) => type).sort();
    expect(owned).toEqual(eventDefinitions.map(({ type }) => type).sort());
    for (const [type, rule] of rules) expect(rule.type).toBe(type);
  });

  test('are noun and past tense, and belong to a listed domain', () => {
    for (const { type, domain } of eventDefinitions) {
      expect(type).toMatch(/^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$/);
      expect(domains).toContain(domain);
    }
  });

  test('every domain has one', () => {
    for (const domain of domains)
      expect(eventDefinitions.map((definition) => definition.domain)).toContain(domain);
  });
});

describe('the checks above can fail', () => {
  test('an undeclared read is seen', () => {
    const strays: string[] = [];
    stateOf({ documents: [{ kind: 'partners' }] }, 0, strays).balance('platform:fees', 'USD');
    expect(strays).toEqual(['platform:fees USD']);
  });

  test('an unbalanced post is seen', () => {
    const legs = [
      { account: 'a', unit: 'USD', amount: 3 },
      { account: 'b', unit: 'USD', amount: -2 },
    ];
    expect(sums({ verdict: 'post', legs })).toEqual({ USD: 1 });
  });
});
