// verify names what is off: each of these damages is done by hand, and must be named, row and all.
import { afterAll, expect, test } from 'bun:test';
import { BalanceCache } from '../../src/cache/balances.ts';
import { cachedBalances } from '../../src/store/accounts.ts';
import { type Problem, verify } from '../../src/store/verify.ts';
import { hashTag, partitionOf } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('verify');
const { id: tenant } = await stack.createTenant('verify');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());

await engine.start();
await engine.append(Array.from({ length: 40 }, (_, n) => earning(`e_${n}`, `u_${n % 4}`, 10)));
await engine.settled();

async function problems(): Promise<Problem[]> {
  return (await verify(engine.redis, stack.sql)).problems;
}

/** Damages, looks, repairs: the statements of a pair undo each other. */
async function damaged(damage: string, repair: string): Promise<Problem[]> {
  await stack.owner.unsafe(damage);
  const found = await problems();
  await stack.owner.unsafe(repair);
  expect(await problems()).toEqual([]);
  return found;
}

test('a whole ledger has no problem, and its counts add up', async () => {
  const verdict = await verify(engine.redis, stack.sql);
  expect(verdict).toMatchObject({ ok: true, accepted: 40, posted: 40, pending: 0 });
});

const u1 = `(select account_key from balances where account = 'user:u_1:earnings')`;
const damages: [string, string, string, string, RegExp][] = [
  [
    'an amount that was changed',
    `update entries set amount = amount + 1 where account_key = ${u1} and sequence = 3`,
    `update entries set amount = amount - 1 where account_key = ${u1} and sequence = 3`,
    'balance_chain',
    /account user:u_1:earnings .* entry 3 has a balance after of 30, off by -1/,
  ],
  [
    'the same, as its transaction sees it',
    `update entries set amount = amount + 1 where account_key = ${u1} and sequence = 3`,
    `update entries set amount = amount - 1 where account_key = ${u1} and sequence = 3`,
    'sum',
    /event e_9 .* entries in USD sum to 1/,
  ],
  [
    'an entry that is missing',
    `create table kept as select * from entries where account_key = ${u1} and sequence = 5;
     delete from entries where account_key = ${u1} and sequence = 5`,
    `insert into entries select * from kept; drop table kept`,
    'sequence',
    /account user:u_1:earnings .* entry 6 follows the one before by 2/,
  ],
  [
    'a balance that was changed',
    `update balances set balance = balance + 7 where account_key = ${u1}`,
    `update balances set balance = balance - 7 where account_key = ${u1}`,
    'balance',
    /account user:u_1:earnings .* balance 107 at sequence 10, but its entries sum to 100/,
  ],
  [
    'an outcome that is gone',
    `create table kept as select * from outcomes where event_id = 'e_7';
     delete from outcomes where event_id = 'e_7'`,
    `insert into outcomes select * from kept; drop table kept`,
    'orphan',
    /have no posted outcome/,
  ],
  [
    'a counter that lies',
    `update streams set posted = posted + 1 where stream = 'events.0'`,
    `update streams set posted = posted - 1 where stream = 'events.0'`,
    'accounting',
    /stream events\.0: settled/,
  ],
  [
    'a balance below its floor',
    `update balances set floor = 1000 where account_key = ${u1}`,
    `update balances set floor = 0 where account_key = ${u1}`,
    'floor',
    /account user:u_1:earnings .* below its floor 1000/,
  ],
];

for (const [what, damage, repair, check, detail] of damages)
  test(`${what} is named`, async () => {
    const found = await damaged(damage, repair);
    expect(found.filter((problem) => problem.check === check)).toContainEqual({
      check,
      detail: expect.stringMatching(detail),
    });
  });

test('a cached balance that differs is named', async () => {
  const account = 'user:u_2:earnings';
  await cachedBalances(new BalanceCache(engine.redis, 60), stack.sql, tenant, account);
  const key = `${hashTag(partitionOf(tenant, account))}:balances:${tenant}:${account}`;
  const right = (await engine.redis.hget(key, 'USD'))!;
  await engine.redis.hset(key, 'USD', '10:999');
  const found = await problems();
  await engine.redis.hset(key, 'USD', right);
  expect(found).toEqual([
    { check: 'balance_cache', detail: expect.stringMatching(/user:u_2:earnings .* cached 999/) },
  ]);
  expect(await problems()).toEqual([]);
});

test('offsets that Redis has forgotten are named', async () => {
  await engine.stop();
  const key = `${hashTag(partitionOf(tenant, 'u_1'))}:events:offset`;
  const right = (await engine.redis.get(key))!;
  await engine.redis.set(key, 1);
  const found = await problems();
  await engine.redis.set(key, right);
  expect(found).toEqual([
    { check: 'offsets', detail: expect.stringMatching(/Redis counts 1 events, \d+ are settled/) },
  ]);
});
