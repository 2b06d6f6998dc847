// The proxy does the harm it says, and none when it says none: every toxic against an echo server.
import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { eventually } from '../processes.ts';
import { Dice } from './dice.ts';
import { Proxy } from './proxy.ts';

let server: Server;
let proxy: Proxy;
/** What the server was sent, all connections together. */
let arrived = Buffer.alloc(0);
let serverEnds = 0;
const sockets: Socket[] = [];

beforeAll(async () => {
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('close', () => serverEnds++);
    socket.on('data', (chunk: Buffer) => {
      arrived = Buffer.concat([arrived, chunk]);
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  proxy = await Proxy.open({ host: '127.0.0.1', port }, new Dice(1));
});

afterEach(() => {
  for (const toxic of proxy.toxics) proxy.put(toxic)();
  for (const socket of sockets.splice(0)) socket.destroy();
  arrived = Buffer.alloc(0);
});

afterAll(() => {
  proxy.close();
  server.close();
});

interface Talk {
  socket: Socket;
  heard(): string;
  chunks: Buffer[];
  ended: { how: string | null };
}

async function talk(): Promise<Talk> {
  const socket = connect(proxy.port, '127.0.0.1');
  sockets.push(socket);
  const chunks: Buffer[] = [];
  const ended: Talk['ended'] = { how: null };
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', (error) => (ended.how = (error as NodeJS.ErrnoException).code ?? 'error'));
  socket.on('close', () => (ended.how ??= 'closed'));
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  return { socket, chunks, ended, heard: () => Buffer.concat(chunks).toString() };
}

const hears = (talk: Talk, text: string) => eventually(text, () => talk.heard() === text);

test('without toxics a megabyte passes both ways as it was', async () => {
  const one = await talk();
  const sent = Buffer.from(Array.from({ length: 2 ** 20 }, (_, n) => (n * 31) % 251));
  one.socket.write(sent);
  await eventually('all came back', () => one.heard().length > 0 && arrived.length === sent.length);
  await eventually('the echo too', () => Buffer.concat(one.chunks).equals(sent));
  expect(arrived.equals(sent)).toBe(true);
});

test('latency and bandwidth delay, and keep the order', async () => {
  const one = await talk();
  proxy.put({ kind: 'latency', direction: 'up', delayMs: 60, jitterMs: 40 });
  proxy.put({ kind: 'bandwidth', direction: 'down', bytesPerMs: 1 });
  const startMs = performance.now();
  for (const word of ['one ', 'two ', 'three']) one.socket.write(word);
  await hears(one, 'one two three');
  expect(performance.now() - startMs).toBeGreaterThan(60);
});

test('a slicer sends tiny pieces', async () => {
  const one = await talk();
  proxy.put({ kind: 'slicer', direction: 'down', bytes: 3, pauseMs: 1 });
  one.socket.write('abcdefghijklmnopqrstuvwxyz');
  await hears(one, 'abcdefghijklmnopqrstuvwxyz');
  expect(one.chunks.length).toBeGreaterThan(5);
});

test('a stall holds everything back until it is taken off', async () => {
  const one = await talk();
  const heal = proxy.put({ kind: 'stall', direction: 'up' });
  one.socket.write('held');
  await Bun.sleep(100);
  expect(arrived.length).toBe(0);
  heal();
  await hears(one, 'held');
});

test('a black hole swallows, says nothing, and resets what has lost bytes in the end', async () => {
  const [one, idle] = [await talk(), await talk()];
  await eventually('those of earlier tests have gone', () => proxy.connections === 2);
  await Bun.sleep(50);
  const heal = proxy.put({ kind: 'blackhole', direction: 'both' });
  const endsBefore = serverEnds;
  one.socket.write('lost');
  await Bun.sleep(100);
  expect([arrived.length, one.ended.how]).toEqual([0, null]);
  one.socket.destroy();
  await Bun.sleep(100);
  expect(serverEnds).toBe(endsBefore);
  heal();
  await eventually('the server hears of it', () => serverEnds > endsBefore);
  idle.socket.write('kept');
  await hears(idle, 'kept');
});

test('half a black hole: the server hears, the client does not', async () => {
  const one = await talk();
  const heal = proxy.put({ kind: 'blackhole', direction: 'down' });
  one.socket.write('heard');
  await eventually('it arrived', () => arrived.toString() === 'heard');
  await Bun.sleep(50);
  expect([one.heard(), one.ended.how]).toEqual(['', null]);
  heal();
  await eventually('reset', () => one.ended.how !== null);
});

test('a lost reply: the request is carried out, its answer dropped, the link cut', async () => {
  const one = await talk();
  const lost = proxy.loseReply({ request: /two/, done: (reply) => reply.includes('two') });
  one.socket.write('one');
  await hears(one, 'one');
  one.socket.write('two');
  expect(await lost).toBe(true);
  await eventually('cut', () => one.ended.how !== null);
  expect([arrived.toString(), one.heard()]).toEqual(['onetwo', 'one']);
  const next = await talk();
  next.socket.write('two');
  await hears(next, 'two');
});

test('refused and cut connections are reset', async () => {
  const one = await talk();
  const heal = proxy.refuse();
  await eventually('reset', () => one.ended.how !== null);
  const two = await talk().catch(() => null);
  if (two) await eventually('reset too', () => two.ended.how !== null);
  heal();
  const three = await talk();
  three.socket.write('again');
  await hears(three, 'again');
});
