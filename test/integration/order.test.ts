// Decisions see every effect that came before them, also of a batch that is still being written:
// each user's credits and debits are decided as if they came one by one.
import { afterAll, expect, test } from 'bun:test';
import { verify } from '../../src/store/verify.ts';
import { Engine, type TestEvent, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('order');
const { id: tenant } = await stack.createTenant('order');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());

const EVENTS = 20_000;
const USERS = 40;

/** Numerical Recipes' linear congruential generator: the same run again from the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('of 20,000 credits and debits, those are refused that one by one would be', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`seed ${seed}`);
  const next = random(seed);
  const balances = new Map<string, number>();
  const refused = new Set<string>();
  const events: TestEvent[] = [];
  for (let n = 0; n < EVENTS; n++) {
    const user = `u_${next(USERS)}`;
    const amount = next(2) === 0 ? 1 + next(100) : -1 - next(100);
    const balance = balances.get(user) ?? 0;
    events.push(earning(`e_${n}`, user, amount));
    if (balance + amount < 0) refused.add(`e_${n}`);
    else balances.set(user, balance + amount);
  }
  for (let index = 0; index < EVENTS; index += 2_000)
    await engine.append(events.slice(index, index + 2_000));
  await engine.start();
  await engine.settled(60_000);

  const rows = await stack.owner`select event_id from outcomes where verdict = 2`;
  expect(new Set(rows.map((row) => row['event_id'] as string))).toEqual(refused);
  const held = await stack.owner`select account, balance from balances where account like 'user:%'`;
  const expected = [...balances].map(([user, balance]) => [`user:${user}:earnings`, balance]);
  expect(held.map((row) => [row['account'], Number(row['balance'])]).toSorted()).toEqual(
    expected.toSorted(),
  );
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
}, 120_000);
