// Seeing one's own write, and being told to wait: answers after the commit, reads that have seen a
// position, and 503 with Retry-After where the ledger is behind.
import { expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { type Started, eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const BACKLOG_EVENTS_MAX = 40;

const stack = await openStack('waiting', async (opened) => {
  const { key } = await opened.createTenant('waiting');
  const ingress = await opened.startIngress({ BACKLOG_EVENTS_MAX: String(BACKLOG_EVENTS_MAX) });
  return { client: new Client(ingress.url, key) };
});
const { client } = stack;
let worker: Started;
let sent = 0;

interface Results {
  results: { id: string; status: string; position: string; outcome?: { verdict: string } }[];
}

function send(headers: Record<string, string> = {}) {
  const id = `evt_${sent++}`;
  const amount = { amount: 1, currency: 'USD' };
  const data = { user_id: 'u_1', kind: 'waiting', amount, reference: id };
  return client.post<Results>('/v1/events', { id, type: 'earning.credited', data }, headers);
}

const balance = (atLeast = '') =>
  client.get<{ balance: { amount: number } }>(
    `/v1/accounts/user:u_1:earnings/balance${atLeast && `?at_least=${atLeast}`}`,
  );

test('without a worker, waiting for the ledger ends in 202 after the timeout', async () => {
  const startMs = performance.now();
  const reply = await send({ prefer: 'wait=ledger; timeout=300' });
  expect(performance.now() - startMs).toBeWithin(280, 3_000);
  expect(reply.status).toBe(202);
  expect(reply.headers.get('preference-applied')).toBeNull();
  expect(reply.body.results[0]).toMatchObject({ status: 'accepted' });
  expect(reply.body.results[0]!.position).toMatch(/^events\.\d\.1$/);
});

test('without a worker, a read that wants to see a write is 503 after a second', async () => {
  const { body } = await send();
  const startMs = performance.now();
  const reply = await balance(body.results[0]!.position);
  expect(performance.now() - startMs).toBeWithin(900, 4_000);
  expect(reply.status).toBe(503);
  expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(reply.headers.get('content-type')).toStartWith('application/problem+json');
});

test('past the backlog limit events are refused with 503, and /readyz says why', async () => {
  const refused = await eventually('an event is refused', async () => {
    const reply = await send();
    return reply.status === 503 ? reply : null;
  });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.body).toMatchObject({ status: 503 });
  const readiness = await client.get<{ checks: { backlog: { ok: boolean } } }>('/readyz');
  expect(readiness.status).toBe(503);
  expect(readiness.body.checks.backlog.ok).toBe(false);
  // Reads go on: it is appends that must wait.
  expect((await client.get('/v1/partners')).status).toBe(200);
});

test('with a worker the backlog goes, and events are accepted again', async () => {
  worker = await stack.startWorker();
  await eventually('accepted again', async () => (await send()).status === 202);
});

test('wait=ledger answers 200 after the commit, and the next read sees it', async () => {
  const before = await send({ prefer: 'wait=ledger' });
  expect(before.status).toBe(200);
  const { amount } = (await balance()).body.balance;
  for (let n = 1; n <= 50; n++) {
    const reply = await send({ prefer: 'wait=ledger' });
    expect(reply.status).toBe(200);
    expect(reply.headers.get('preference-applied')).toBe('wait=ledger');
    expect(reply.body.results[0]!.outcome).toMatchObject({ verdict: 'posted' });
    expect((await balance()).body.balance.amount).toBe(amount + n);
  }
});

test('at_least makes a read see the write that it names', async () => {
  const { amount } = (await balance()).body.balance;
  for (let n = 1; n <= 50; n++) {
    const { body } = await send();
    const reply = await balance(body.results[0]!.position);
    expect(reply.status).toBe(200);
    expect(reply.body.balance.amount).toBe(amount + n);
  }
});

test('a position that is none of ours is 400', async () => {
  expect((await balance('events.99.1')).status).toBe(400);
  expect((await balance('elsewhere.1.1')).status).toBe(400);
});

test('when the worker goes, what it settled stays readable', async () => {
  const { body } = await send({ prefer: 'wait=ledger' });
  await worker.kill('SIGTERM');
  expect((await balance(body.results[0]!.position)).status).toBe(200);
});
