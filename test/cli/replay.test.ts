// replay and dlq as an operator types them, against a ledger with some history.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { putDocument } from '../../src/store/documents.ts';
import { hashTag, partitionOf } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('replay');
const { id: tenant } = await stack.createTenant('replay');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());

function partner(commission_bp: number): object {
  return { name: 'P', share_bp: 10_000, commission_bp, currency: 'USD', status: 'active' };
}

function game(id: string, profit: number) {
  const data = {
    game_id: id,
    profit: { amount: profit, currency: 'USD' },
    completed_at: '2026-01-31T12:00:00Z',
  };
  return { id, type: 'game.completed', data };
}

beforeAll(async () => {
  await putDocument(stack.sql, tenant, 'partners', 'p_1', partner(1_000), 'test');
  await engine.start();
  await engine.append([game('g_1', 1_000), game('g_2', 500), earning('e_1', 'u_1', 70)]);
  await engine.append([earning('e_2', 'u_1', -100)]);
  expect(await engine.settled()).toMatchObject({ posted: 3, refused: 1 });
}, 30_000);

test('deciding again by the same rules and terms would change nothing', async () => {
  const { exitCode, stdout } = await stack.run('replay', 'dry-run', '--json');
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ events: 4, verdicts: 0, differences: [] });
}, 30_000);

test('changed terms show, per account, what they would have made of the past', async () => {
  await putDocument(stack.sql, tenant, 'partners', 'p_1', partner(2_000), 'test');
  const { exitCode, stdout } = await stack.run('replay', 'dry-run', '--type', 'game.completed');
  expect(exitCode).toBe(0);
  expect(stdout.trim().split('\n').toSorted()).toEqual([
    '2 events, 0 with another verdict',
    `partner:p_1:available (tenant ${tenant}): 150 -> 300 USD`,
    `platform:commissions (tenant ${tenant}): -150 -> -300 USD`,
  ]);
  const [row] = await stack.owner`select sum(balance)::int as sum from balances where unit = 'USD'`;
  expect(row!['sum']).toBe(0);
}, 30_000);

test('an unknown event type is a mistake of use', async () => {
  const { exitCode, stderr } = await stack.run('replay', 'dry-run', '--type', 'no.such');
  expect([exitCode, stderr]).toEqual([
    2,
    expect.stringContaining('there is no event type no.such'),
  ]);
}, 30_000);

test('replay balances makes the cache forget, whatever it holds', async () => {
  const generation = `${hashTag(partitionOf(tenant, 'user:u_1:earnings'))}:balances:generation`;
  const before = Number(await engine.redis.get(generation));
  expect((await stack.run('replay', 'balances')).exitCode).toBe(0);
  expect(Number(await engine.redis.get(generation))).toBe(before + 1);
}, 30_000);

test('a dead letter is listed, shown, refused a retry that cannot help, and given up', async () => {
  const partition = partitionOf(tenant, 'x');
  const key = `${hashTag(partition)}:events`;
  const offset = await engine.redis.incr(`${key}:offset`);
  await engine.redis.xadd(key, '*', 'o', offset, 'n', 1, 'b', Buffer.from('\u00c1rubbish'));
  await engine.settled();
  const listed = await stack.run('dlq', 'list', '--json');
  const [letter] = JSON.parse(listed.stdout) as { id: string; reason: string; position: string }[];
  expect(letter).toMatchObject({
    reason: 'undecodable',
    position: `events.${partition}.${offset}`,
  });
  const shown = await stack.run('dlq', 'show', letter!.id);
  expect(JSON.parse(shown.stdout)).toMatchObject({ id: letter!.id, data: null });
  const retried = await stack.run('dlq', 'retry', letter!.id);
  expect([retried.exitCode, retried.stdout]).toEqual([1, '0 retried\n']);
  const discarded = await stack.run('dlq', 'discard', letter!.id);
  expect([discarded.exitCode, discarded.stdout]).toEqual([0, '1 discarded\n']);
  expect((await stack.run('dlq', 'list', '--json')).stdout).toBe('[]\n');
  const verdict = JSON.parse((await stack.run('verify', '--json')).stdout) as object;
  expect(verdict).toMatchObject({ ok: true, dead: 1, problems: [] });
}, 60_000);

test('ids that are none, and neither ids nor --all, are mistakes of use', async () => {
  expect((await stack.run('dlq', 'retry', 'seven')).exitCode).toBe(2);
  expect((await stack.run('dlq', 'discard')).exitCode).toBe(2);
  expect((await stack.run('dlq', 'list', '--status', 'alive')).exitCode).toBe(2);
}, 30_000);
