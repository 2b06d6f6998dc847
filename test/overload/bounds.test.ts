// What may wait inside an ingress is bounded: past each bound the answer is 503 with Retry-After at
// once, others are served meanwhile, and all is as before when there is room again.
import { afterAll, expect, test } from 'bun:test';
import type { Socket } from 'node:net';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { answered, chunk, eventText, events, eventsHead, memoryOf, open, raw } from './raw.ts';

const READS_MAX = 8;
const stack = await openStack('bounds');
const tenant = await stack.createTenant('bounds');
const { url, pid } = await stack.startIngress({
  READS_IN_FLIGHT_MAX: String(READS_MAX),
  BODY_BYTES_READING_MAX: String(8 * 2 ** 20),
  REFUSAL_HOLD_MS: '0',
});
const target = { url, key: tenant.key };
const sockets: Socket[] = [];
afterAll(() => {
  for (const socket of sockets) socket.destroy();
});

const headers = { Authorization: `Bearer ${tenant.key}`, 'Content-Type': 'application/json' };

function balanceOf(user: number): Promise<Response> {
  return fetch(`${url}/v1/accounts/user:u_${user}:earnings/balance?currency=USD`, { headers });
}

async function gauge(name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, 'm').exec(text)![1]);
}

async function expectOverloaded(response: Response, detail: string): Promise<void> {
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await response.json()).toMatchObject({ code: 'overloaded', detail });
}

/** Whoever reads a balance from Postgres then waits. */
async function lockBalances() {
  const { promise: unlocked, resolve: unlock } = Promise.withResolvers<void>();
  const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
  const locking = stack.owner.begin(async (sql) => {
    await sql`lock table balances in access exclusive mode`;
    isLocked();
    await unlocked;
  });
  await locked;
  return { unlock, locking };
}

test('reads that a store keeps waiting', async () => {
  const { unlock, locking } = await lockBalances();
  const waiting = Array.from({ length: READS_MAX }, (_, user) => balanceOf(user));
  await eventually('all of them wait', async () => {
    return (await gauge('tallyrace_reads_in_flight')) === READS_MAX;
  });
  await expectOverloaded(await balanceOf(99), 'Too many reads wait for a store.');
  expect((await raw(target, events(target, eventText('meanwhile')))).status).toBe(202);
  unlock();
  await locking;
  const statuses = (await Promise.all(waiting)).map(({ status }) => status);
  expect(statuses).toEqual(Array(READS_MAX).fill(200));
  expect((await balanceOf(99)).status).toBe(200);
  await eventually('none is left', async () => (await gauge('tallyrace_reads_in_flight')) === 0);
});

test('a store that lets reads wait: most are refused, until it has caught up', async () => {
  const impatient = {
    QUEUE_WAIT_MS_MAX: '200',
    DATABASE_CONNECTIONS_MAX: '2',
    REFUSAL_HOLD_MS: '0',
  };
  const other = await stack.startIngress(impatient);
  const read = (): Promise<Response> =>
    fetch(`${other.url}/v1/accounts/user:u_${user++}:earnings/balance?currency=USD`, { headers });
  let user = 1_000;
  const { unlock, locking } = await lockBalances();
  const waiting = Array.from({ length: 80 }, read);
  await eventually('new ones are refused', async () => {
    const answer = await Promise.race([read(), Bun.sleep(100).then(() => null)]);
    if (answer?.status !== 503) return false;
    await expectOverloaded(answer, 'Reads wait too long for a store.');
    return true;
  });
  const event = events({ ...target, url: other.url }, eventText('beside'));
  expect((await raw({ ...target, url: other.url }, event)).status).toBe(202);
  unlock();
  await locking;
  const statuses = (await Promise.all(waiting)).map(({ status }) => status);
  expect(statuses).toEqual(Array(80).fill(200));
  await eventually('all are answered', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, read));
    return answers.every(({ ok }) => ok);
  });
});

test('bodies that are begun and not ended, whether their length is told or not', async () => {
  const [before, part] = [await memoryOf(pid), Buffer.alloc(2 ** 20, 0x20)];
  for (let index = 0; index < 20; index++) {
    const socket = await open(target);
    sockets.push(socket);
    const isChunked = index % 2 === 0;
    const length = isChunked ? 'Transfer-Encoding: chunked\r\n' : 'Content-Length: 4194304\r\n';
    socket.write(eventsHead(target, length));
    for (let mb = 0; mb < 3; mb++) socket.write(isChunked ? chunk(part) : part);
  }
  await eventually('no more are taken', async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return /admission_refused_total\{[^}]*reason="bodies"[^}]*\} [1-9]/.test(text);
  });
  expect(await gauge('tallyrace_body_bytes_reading')).toBeLessThanOrEqual(8 * 2 ** 20);
  expect((await memoryOf(pid)).nowMb - before.nowMb).toBeLessThan(60);
  const whole = events(target, `[${eventText('large')}${' '.repeat(3 * 2 ** 20)}]`);
  const socket = await open(target);
  sockets.push(socket);
  socket.write(whole);
  const refused = await answered(socket);
  expect(refused.status).toBe(503);
  expect(refused.head).toContain('Retry-After: 1');
  expect(refused.body).toContain('Too many bytes of bodies are on their way.');
  for (const each of sockets.splice(0)) each.destroy();
  await eventually(
    'there is room',
    async () => (await gauge('tallyrace_body_bytes_reading')) === 0,
  );
  expect((await raw(target, whole)).status).toBe(202);
});

test('events on their way to a Redis that does not answer', async () => {
  const small = { BODY_BYTES_MAX: '1024', BATCH_BODY_BYTES_MAX: '2048' };
  const other = await stack.startIngress({ ...small, APPEND_BYTES_WAITING_MAX: '2048' });
  const send = async (id: string) => {
    const body = eventText(id);
    return fetch(`${other.url}/v1/events`, { method: 'POST', headers, body });
  };
  expect((await send('first')).status).toBe(202);
  process.kill(stack.redisPid, 'SIGSTOP');
  try {
    const answers = Array.from({ length: 100 }, (_, n) => send(`frozen_${n}`));
    const first = await Promise.race(answers);
    await expectOverloaded(first, 'Too many events are waiting for Redis.');
  } finally {
    process.kill(stack.redisPid, 'SIGCONT');
  }
  await eventually('it goes on', async () => (await send('again')).ok);
});

test('metrics of paths that callers think up', async () => {
  for (let n = 0; n < 50; n++) await fetch(`${url}/path_${n}/${n}`);
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).not.toContain('path_');
  expect(text).toMatch(/route="unmatched",status="404"[^}]*\} [5-9]\d/);
});
