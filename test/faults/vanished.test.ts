// The other end vanishes without a word, as when a host dies behind a firewall that drops: no FIN,
// no reset, no answer, on every connection there is. New connections are well. Nobody may wait for
// the kernel to give up, which takes a quarter of an hour.
import { afterAll, expect, test } from 'bun:test';
import { Engine, earning } from '../engine.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { Dice } from './dice.ts';
import { Proxy } from './proxy.ts';

/** Of statements; a connection that answers nothing is given up a little later. */
const STATEMENT_TIMEOUT_MS = 300;
const POSTED = 1;

const stack = await openStack('vanished');
const tenant = await stack.createTenant('vanished');
const [redis, postgres] = await Promise.all([
  proxyOf(stack.redisUrl, 'redis'),
  proxyOf(stack.databaseUrl, 'postgres'),
]);
const behind = {
  ...stack,
  redisUrl: redis.inFrontOf(stack.redisUrl),
  databaseUrl: postgres.inFrontOf(stack.databaseUrl),
};
const engine = await Engine.open(behind, tenant.id);
afterAll(async () => {
  for (const proxy of [redis, postgres]) proxy.cut();
  await engine.close();
  for (const proxy of [redis, postgres]) proxy.close();
});

function proxyOf(url: string, name: string): Promise<Proxy> {
  const { hostname: host, port } = new URL(url);
  return Proxy.open({ host, port: Number(port) }, new Dice(1).fork(name));
}

async function posted(id: string): Promise<void> {
  await eventually(`${id} is on the stream`, async () => {
    await engine.append([earning(id, 'u_1', 5)]);
    return true;
  });
  const outcomes = await eventually(
    `${id} is settled`,
    async () => {
      const rows = await stack.owner`select verdict from outcomes where event_id = ${id}`;
      return rows.length > 0 ? rows : null;
    },
    30_000,
  );
  // However often it was appended.
  expect(outcomes.map((row) => row['verdict'])).toEqual([POSTED]);
}

test('a worker goes on when its Redis has vanished', async () => {
  await engine.start({ statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  await posted('before');
  redis.abandon();
  await posted('after_redis');
}, 60_000);

test('a worker goes on when its Postgres has vanished', async () => {
  postgres.abandon();
  await posted('after_postgres');
}, 60_000);
