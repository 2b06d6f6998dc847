// What is on disk when an append is answered. A power cut keeps any prefix of the append-only file
// that reaches at least to where it was synced: each test starts Redis on such prefixes.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { readFileSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { Appender } from '../../src/stream/append.ts';
import { offsetKey, streamKey } from '../../src/stream/topology.ts';
import { eventually } from '../processes.ts';
import { RedisServer } from './servers.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const PARTITION = 3;

/** Each resolves to its offset when Redis has answered. */
async function appendOneByOne(client: Redis, count: number, bytes = 200): Promise<Appender> {
  const appender = new Appender(client, { bytesWaitingMax: 2 ** 24, entryEventsMax: 100 });
  for (let n = 0; n < count; n++) await appendOne(appender, bytes);
  return appender;
}

function appendOne(appender: Appender, bytes = 200): Promise<number> {
  return appender.append('events', PARTITION, Buffer.alloc(bytes, 'x'));
}

/** The file that grows: the others are what it begins with. */
function growingFile(server: RedisServer, at = server.dir): string {
  const dir = join(at, 'data', 'appendonlydir');
  const names = readdirSync(dir).filter((name) => name.endsWith('.incr.aof'));
  return join(dir, names.sort((a, b) => numberIn(a) - numberIn(b)).at(-1)!);
}
const numberIn = (name: string): number => Number(/\.(\d+)\./.exec(name)![1]);

/** What a server on this directory, cut at this byte, knows. */
async function knownAfterCut(server: RedisServer, bytes: number) {
  const cut = await RedisServer.start({}, server.dir, (dir) =>
    truncateSync(growingFile(server, dir), bytes),
  );
  const known = await knownBy(cut);
  await cut.kill();
  return known;
}

async function knownBy(server: RedisServer): Promise<{ offset: number; entries: number[] }> {
  const client = await server.client();
  const entries = await client.xrange(streamKey('events', PARTITION), '-', '+');
  return {
    offset: Number((await client.get(offsetKey('events', PARTITION))) ?? 0),
    entries: entries.map(([, fields]) => Number(fields[1])),
  };
}

test('wherever the file is cut after an answer, what was answered is there', async () => {
  const server = await RedisServer.start();
  const appender = await appendOneByOne(await server.client(), 0);
  const sizes = [statSync(growingFile(server)).size];
  for (let n = 0; n < 40; n++) {
    await appendOne(appender);
    sizes.push(statSync(growingFile(server)).size);
  }
  await server.kill();
  const end = sizes.at(-1)!;
  const cuts = [0.13, 0.37, 0.59, 0.83, 0.97].map((share) => Math.floor(end * share));
  for (const bytes of [...cuts, sizes[20]!, end - 1, end]) {
    const { offset, entries } = await knownAfterCut(server, bytes);
    const answered = sizes.filter((size) => size <= bytes).length - 1;
    expect({ bytes, offset, gapless: entries }).toEqual({
      bytes,
      offset: answered,
      gapless: Array.from({ length: answered }, (_, n) => n + 1),
    });
  }
});

test('a torn command at the end is dropped whole: no offset without its entry', async () => {
  const server = await RedisServer.start();
  await appendOneByOne(await server.client(), 3);
  await server.kill();
  const file = growingFile(server);
  const { size } = statSync(file);
  const lastEntry = readFileSync(file, 'latin1').lastIndexOf('MULTI');
  for (const bytes of [lastEntry + 2, (lastEntry + size) >> 1, size - 2])
    expect(await knownAfterCut(server, bytes)).toEqual({ offset: 2, entries: [1, 2] });
});

test('a crash of Redis alone, in the middle of rewriting its file, loses nothing', async () => {
  const server = await RedisServer.start();
  const client = await server.client();
  const appender = await appendOneByOne(client, 200, 2_000);
  await client.config('SET', 'rdb-key-save-delay', '2000000');
  await client.bgrewriteaof();
  await eventually('it is rewriting', async () =>
    (await client.info('persistence')).includes('aof_rewrite_in_progress:1'),
  );
  const during = await Promise.all(Array.from({ length: 50 }, () => appendOne(appender)));
  expect(await client.info('persistence')).toContain('aof_rewrite_in_progress:1');
  await server.kill();
  await server.restart();
  expect(await knownBy(server)).toMatchObject({ offset: Math.max(...during) });
});

test('an older copy knows exactly what was answered before it', async () => {
  const server = await RedisServer.start({ appendfsync: 'everysec' });
  const appender = await appendOneByOne(await server.client(), 30);
  const copy = await RedisServer.start({}, server.dir);
  await Promise.all(Array.from({ length: 20 }, () => appendOne(appender)));
  expect(await knownBy(copy)).toMatchObject({ offset: 30 });
});
