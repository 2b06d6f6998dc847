// The worker against what goes wrong: poison, prerequisites that are late, follow-ups, a Redis that
// lost its tail, strangers on the stream. After each, the books hold.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type Rule, post } from '../../src/ledger/decision.ts';
import { eventJourney } from '../../src/store/journey.ts';
import { listDeadLetters, retryDeadLetters } from '../../src/store/dead-letters.ts';
import { verify } from '../../src/store/verify.ts';
import { GROUP, offsetKey, partitionOf, streamKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('worker');
const { id: tenant } = await stack.createTenant('worker');
let engine: Engine;

beforeAll(async () => {
  engine = await Engine.open(stack, tenant);
});
afterAll(() => engine.close());

async function expectBooksHold(): Promise<void> {
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
}

async function balanceOf(account: string): Promise<number> {
  const [row] = await stack.owner`
    select balance from balances where account = ${account} and tenant_id = ${tenant}`;
  return Number(row?.['balance'] ?? 0);
}

const poisonous: Rule<{ user_id: string; kind: string }> = {
  type: 'earning.credited',
  reads: () => ({}),
  decide: ({ data }) =>
    post(
      [
        { account: 'platform:earnings', unit: 'USD', amount: -10 },
        { account: `user:${data.user_id}:earnings`, unit: 'USD', amount: 10 },
      ],
      data.kind === 'poison'
        ? [{ table: 'redemptions', values: { id: 'rdm_none', status: 'reserved' } }]
        : [],
    ),
};

test('one bad event in a batch costs itself only, and can be sent round again', async () => {
  const small = Array.from({ length: 60 }, (_, n) => earning(`small_${n}`, `u_${n % 7}`, 10));
  const poison = earning('poison', 'u_p', 10, 'poison');
  await engine.append([...small.slice(0, 30), poison, ...small.slice(30)]);
  await engine.start({ rules: [poisonous as unknown as Rule] });
  expect(await engine.settled()).toMatchObject({ posted: 60, dead: 1 });
  const [letter] = await listDeadLetters(stack.sql, {
    status: 'dead',
    before: new Date('9999-01-01'),
    limit: 10,
  });
  expect(letter).toMatchObject({ event_id: 'poison', reason: 'write_failed', tenant: 'worker' });
  expect(await eventJourney(stack.sql, tenant, 'poison')).toMatchObject({ status: 'dead' });
  await expectBooksHold();
  await engine.stop();

  await engine.start();
  expect(await retryDeadLetters(stack.sql, [letter!.id], 'test')).toBe(1);
  expect(await retryDeadLetters(stack.sql, [letter!.id], 'test')).toBe(0);
  expect(await engine.settled()).toMatchObject({ posted: 61, dead: 0 });
  expect(await balanceOf('user:u_p:earnings')).toBe(10);
  expect(await eventJourney(stack.sql, tenant, 'poison')).toMatchObject({ status: 'posted' });
  await expectBooksHold();
  await engine.stop();
}, 60_000);

test('what would leave the range of JSON numbers is refused, in its batch', async () => {
  const before = await engine.counters();
  const room = Number.MAX_SAFE_INTEGER - 10_000;
  await engine.append([earning('big', 'u_big', room)]);
  await engine.start();
  await engine.settled();
  const small = Array.from({ length: 60 }, (_, n) => earning(`more_${n}`, `u_${n % 7}`, 10));
  await engine.append([...small.slice(0, 30), earning('over', 'u_o', room), ...small.slice(30)]);
  expect(await engine.settled()).toMatchObject({
    posted: before.posted + 61,
    refused: before.refused + 1,
    dead: before.dead,
  });
  expect(await eventJourney(stack.sql, tenant, 'over')).toMatchObject({
    status: 'refused',
    reason: 'balance_out_of_range',
  });
  await expectBooksHold();
  await engine.append([earning('undo', 'u_big', -room)]);
  await engine.settled();
  await engine.stop();
}, 60_000);

const patient: Rule<{ user_id: string; kind: string; amount: { amount: number } }> = {
  type: 'earning.credited',
  reads: () => ({ accounts: [{ account: 'user:u_first:earnings', unit: 'USD' }] }),
  decide({ data }, state) {
    const missing = state.balance('user:u_first:earnings', 'USD') === 0;
    if (data.kind !== 'prerequisite' && missing) return { verdict: 'defer', reason: 'too_early' };
    return post([
      { account: 'platform:earnings', unit: 'USD', amount: -data.amount.amount },
      { account: `user:${data.user_id}:earnings`, unit: 'USD', amount: data.amount.amount },
    ]);
  },
};

test('an event waits for another; one that waits in vain is a dead letter', async () => {
  const before = await engine.counters();
  await engine.start({ rules: [patient as unknown as Rule] });
  await engine.append([earning('early', 'u_early', 5)]);
  while ((await engine.counters()).deferred === 0) await Bun.sleep(10);
  expect(await eventJourney(stack.sql, tenant, 'early')).toMatchObject({ status: 'deferred' });
  await engine.append([earning('first', 'u_first', 1, 'prerequisite')]);
  expect(await engine.settled()).toMatchObject({ posted: before.posted + 2, dead: before.dead });
  expect(await balanceOf('user:u_early:earnings')).toBe(5);
  await expectBooksHold();

  await engine.append([earning('back', 'u_first', -1, 'prerequisite'), earning('vain', 'u_v', 5)]);
  expect(await engine.settled()).toMatchObject({ dead: before.dead + 1 });
  expect(await eventJourney(stack.sql, tenant, 'vain')).toMatchObject({
    status: 'dead',
    reason: 'too_early',
  });
  await expectBooksHold();
  await engine.stop();
}, 60_000);

const generous: Rule<{ game_id: string }> = {
  type: 'game.completed',
  reads: () => ({}),
  decide: ({ data }) => ({
    verdict: 'post',
    legs: [],
    followUps: [
      { suffix: 'gift', type: 'earning.credited', data: earning('gift', data.game_id, 7).data },
    ],
  }),
};

test('a follow-up event is relayed once, under an id of its parent', async () => {
  await engine.start({ rules: [generous as unknown as Rule] });
  const data = { profit: { amount: 1, currency: 'USD' }, completed_at: '2026-01-31T12:00:00Z' };
  await engine.append([{ id: 'g1', type: 'game.completed', data: { game_id: 'u_gift', ...data } }]);
  while ((await balanceOf('user:u_gift:earnings')) === 0) await Bun.sleep(10);
  await engine.settled();
  expect(await eventJourney(stack.sql, tenant, 'g1/gift')).toMatchObject({ status: 'posted' });
  expect(await stack.owner`select id from outbox`).toHaveLength(0);
  expect(await balanceOf('user:u_gift:earnings')).toBe(7);
  await expectBooksHold();
  await engine.stop();
}, 60_000);

test('offsets that Redis gives out anew carry events that are posted once', async () => {
  await engine.start();
  const partition = partitionOf(tenant, 'u_tail');
  await engine.append(Array.from({ length: 10 }, (_, n) => earning(`tail_${n}`, 'u_tail', 1)));
  const before = await engine.settled();
  await engine.stop();
  await engine.redis.decrby(offsetKey('events', partition), 4);
  // An appender that was here before would leave a hole instead.
  const fresh = await Engine.open(stack, tenant);
  await fresh.append([earning('again_1', 'u_tail', 1), earning('tail_3', 'u_tail', 1)]);
  await fresh.close();
  await engine.start();
  while ((await balanceOf('user:u_tail:earnings')) < 11) await Bun.sleep(10);
  await engine.settled();
  expect(await engine.counters()).toMatchObject({
    posted: before.posted + 1,
    renumbered: before.renumbered + 1,
  });
  await expectBooksHold();
  await engine.stop();
}, 60_000);

test('strangers and rubbish on a stream do not stop it, and rubbish is kept', async () => {
  const partition = partitionOf(tenant, 'u_s');
  const key = streamKey('events', partition);
  const before = await engine.counters();
  await engine.redis.xadd(key, '*', 'hello', 'world');
  const first = await engine.redis.incrby(offsetKey('events', partition), 3);
  await engine.redis.xadd(key, '*', 'o', first - 2, 'n', 3, 'b', Buffer.from('\u00c1rubbish'));
  await engine.append([earning('after', 'u_s', 3)]);
  await engine.start();
  const counters = await engine.settled();
  expect(counters.dead).toBe(before.dead + 3);
  expect(await balanceOf('user:u_s:earnings')).toBe(3);
  await expectBooksHold();
  await engine.stop();
  const [pending] = (await engine.redis.xpending(key, GROUP)) as [number];
  expect(pending).toBe(0);
}, 60_000);

test('what Redis has lost for good is counted, and verify names the stream', async () => {
  await engine.redis.incrby(offsetKey('events', partitionOf(tenant, 'u_s')), 4);
  await engine.append([earning('beyond', 'u_s', 3)]);
  await engine.start();
  expect(await engine.settled()).toMatchObject({ lost: 4 });
  const verdict = await verify(engine.redis, stack.sql);
  expect(verdict.ok).toBe(false);
  expect(verdict.problems).toEqual([
    { check: 'lost', detail: expect.stringMatching(/^stream events\.\d: Redis lost 4 accepted/) },
  ]);
  await engine.stop();
}, 60_000);
