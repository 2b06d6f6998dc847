// Clients that take what they can: connections, memory, time. Each attack runs against a real
// process, whose memory stays within a bound, while an honest caller goes on being answered.
import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test';
import { readFileSync, readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import {
  answered,
  chunk,
  eventText,
  events,
  eventsHead,
  head,
  memoryOf,
  open,
  raw,
} from './raw.ts';

const stack = await openStack('hostile');
const tenant = await stack.createTenant('hostile');
const { url, pid } = await stack.startIngress();
const target = { url, key: tenant.key };

/** What an attack may add to the memory of the process, at any moment. */
const GROWTH_MB_MAX = 100;
/** Of ours and of the server's, which inherits it; Bun raises it as far as the system lets it. */
const FILES_MAX = Number(
  /Max open files +\d+ +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))![1],
);
const IDLE_CONNECTIONS = 10_000;

let sockets: Socket[] = [];
const honest = { asked: 0, wrong: [] as number[], stopped: false, done: Promise.resolve() };

async function ask(): Promise<void> {
  while (!honest.stopped) {
    const asked = raw(target, events(target, eventText(`honest_${honest.asked++}`)));
    const status = await asked.then((answer) => answer.status).catch(() => 0);
    if (status !== 202 && !honest.stopped) honest.wrong.push(status);
    await Bun.sleep(5);
  }
}

beforeAll(() => {
  honest.done = ask();
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
});
afterAll(async () => {
  honest.stopped = true;
  await honest.done;
});

async function connected(count: number): Promise<Socket[]> {
  for (let opened = 0; opened < count; opened += 500)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(500, count - opened) }, () => open(target)),
      )),
    );
  return sockets;
}

/** Watches the process and the honest caller while the attack goes on. */
async function under(attack: () => Promise<void>, growthMbMax = GROWTH_MB_MAX): Promise<void> {
  const { nowMb: beforeMb } = await memoryOf(pid);
  const [asked, wrong] = [honest.asked, honest.wrong.length];
  let peakMb = 0;
  const watching = setInterval(async () => {
    peakMb = Math.max(peakMb, (await memoryOf(pid)).nowMb);
  }, 20);
  try {
    await attack();
    await eventually('the honest caller is answered', () => honest.asked > asked + 20);
  } finally {
    clearInterval(watching);
  }
  expect(peakMb - beforeMb).toBeLessThan(growthMbMax);
  expect(honest.wrong.slice(wrong)).toEqual([]);
}

test('headers that drip, from 500 connections', () =>
  under(async () => {
    const slow = await connected(500);
    for (const byte of 'GET /livez HTTP/1.1\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaa') {
      for (const socket of slow) socket.write(byte);
      await Bun.sleep(5);
    }
    for (const socket of slow) socket.write('\r\nHost: x\r\n\r\n');
    expect((await answered(slow[0]!)).status).toBe(200);
  }));

test('bodies that drip, from 500 connections', () =>
  under(async () => {
    const slow = await connected(500);
    for (const socket of slow) socket.write(eventsHead(target, 'Content-Length: 4000000\r\n'));
    for (let byte = 0; byte < 50; byte++) {
      for (const socket of slow) socket.write(' ');
      await Bun.sleep(5);
    }
  }));

test('8 MB bodies, told and in chunks: 413 before they have come', () =>
  under(async () => {
    const part = Buffer.alloc(2 ** 16, 0x20);
    const large = await connected(60);
    const answers = large.map((socket, index) => {
      const isChunked = index % 2 === 0;
      const answer = answered(socket);
      const length = isChunked ? 'Transfer-Encoding: chunked\r\n' : 'Content-Length: 8388608\r\n';
      socket.write(eventsHead(target, length));
      let left = 128;
      const push = (): void => {
        while (left-- > 0 && !socket.destroyed)
          if (!socket.write(isChunked ? chunk(part) : part)) return void socket.once('drain', push);
      };
      push();
      return answer;
    });
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    // Those that find no room among the others are 503: the others are still on their way.
    expect(statuses.filter((status) => status !== 413 && status !== 503)).toEqual([]);
    expect(statuses.filter((status) => status === 413).length).toBeGreaterThanOrEqual(30);
  }, 250));

test('answers that nobody reads, from 300 connections', () =>
  under(async () => {
    for (const socket of await connected(300)) {
      socket.pause();
      socket.write(head(target, 'GET /openapi.json HTTP/1.1'));
    }
    await Bun.sleep(500);
  }));

test('10,000 requests on one connection that reads no answer', () =>
  under(async () => {
    const [socket] = await connected(1);
    socket!.pause();
    const request = head(target, 'GET /openapi.json HTTP/1.1');
    for (let round = 0; round < 100; round++) {
      socket!.write(request.repeat(100));
      await Bun.sleep(5);
    }
  }));

test('requests in a row on one connection, cut in the middle', () =>
  under(async () => {
    for (const [index, socket] of (await connected(50)).entries()) {
      const many = Array.from({ length: 20 }, (_, n) =>
        events(target, eventText(`cut_${index}_${n}`)),
      );
      socket.write(Buffer.concat(many));
      socket.destroy();
    }
  }));

const hasRoom = FILES_MAX > IDLE_CONNECTIONS * 1.1;
const why = hasRoom ? '' : ` (not tried: the system allows ${FILES_MAX} open files)`;
// Each needs a file on both sides, and more than the system allows cannot be asked for.
test.skipIf(!hasRoom)(`10,000 connections that say nothing${why}`, () =>
  under(async () => {
    await connected(IDLE_CONNECTIONS);
    await eventually('all are taken', () => {
      return readdirSync(`/proc/${pid}/fd`).length > IDLE_CONNECTIONS;
    });
  }),
);
