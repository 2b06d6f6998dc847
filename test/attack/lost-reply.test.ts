// The commit happened and its reply was lost: the worker must notice that its batch is settled, and
// go on. A proxy in front of Postgres lets the write through and cuts the connection instead of
// handing the answer over.
import { afterAll, expect, test } from 'bun:test';
import { type Socket, connect, createServer } from 'node:net';
import { BalanceCache } from '../../src/cache/balances.ts';
import { cachedBalances } from '../../src/store/accounts.ts';
import { verify } from '../../src/store/verify.ts';
import { partitionOf, settledKey } from '../../src/stream/topology.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('lost_reply');
const { id: tenant } = await stack.createTenant('lost_reply');
const proxy = await cutAfter(stack.databaseUrl, 'reply_is_lost');
const engine = await Engine.open({ ...stack, databaseUrl: proxy.url }, tenant);
afterAll(async () => {
  await engine.close();
  proxy.close();
});

const cache = new BalanceCache(engine.redis, 60);
const announcedAt = settledKey('events', partitionOf(tenant, 'u_1'));

async function balance(): Promise<number> {
  const [usd] = await cachedBalances(cache, stack.sql, tenant, 'user:u_1:earnings');
  return usd!.balance;
}

async function announced(offset: number): Promise<void> {
  while (Number(await engine.redis.get(announcedAt)) < offset) await Bun.sleep(10);
}

/** Forwards to Postgres; the first statement that says `word` is executed and never answered. */
async function cutAfter(databaseUrl: string, word: string) {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const state = { cut: 0 };
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    let mute = false;
    client.on('data', (chunk) => {
      if (state.cut === 0 && chunk.includes(word)) {
        state.cut++;
        mute = true;
        setTimeout(() => client.destroy(), 300);
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => mute || client.write(chunk));
    client.on('close', () => upstream.end());
    upstream.on('close', () => client.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    state,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test('a batch whose reply was lost is settled once, and the worker goes on', async () => {
  await engine.start();
  await engine.append([earning('before', 'u_1', 5)]);
  await engine.settled();
  await announced(1);
  expect(await balance()).toBe(5);
  await engine.append([earning('reply_is_lost', 'u_1', 7)]);
  await engine.settled();
  expect(proxy.state.cut).toBe(1);
  await announced(2);
  expect(await balance()).toBe(12);
  await engine.append([earning('after', 'u_1', 11)]);
  expect(await engine.settled()).toMatchObject({ posted: 3, duplicate: 0, dead: 0, lost: 0 });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
  await engine.stop();
}, 60_000);
