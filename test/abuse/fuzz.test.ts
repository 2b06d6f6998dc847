// Every operation of the API document, asked as it says and in ways that it does not. Whatever is
// sent is answered, with a status that the document names, as a problem that repeats nothing of it;
// what was refused left nothing behind, and no address that was planted is ever called.
// By hand: FUZZ_ROUNDS=3000 FUZZ_SEED=… for 120,000 requests.
import { expect, test } from 'bun:test';
import { createServer } from 'node:net';
import fc, { type Arbitrary } from 'fast-check';
import {
  CANARY,
  fitting,
  hostileHeaders,
  hostileQuery,
  hostileSegment,
  mutated,
} from './hostile.ts';
import { type Operation, hasHeader, readOperations } from './document.ts';
import { Ledgerbook } from './traces.ts';
import { Client } from '../client.ts';
import { openStack } from '../stack.ts';
import { type WireReply, type WireRequest, send } from './wire.ts';

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 40);
const SEED = Number(process.env['FUZZ_SEED'] ?? 7_214_553);
const AT_ONCE = 40;

const listener = await listen();
const stack = await openStack('fuzz', async (services) => {
  const { key, id } = await services.createTenant('fuzz');
  // Whoever may set limits could set those of all the rest.
  const limited = await services.createTenant('limited');
  const ingress = await services.startIngress({ LOG_LEVEL: 'info' });
  const worker = await services.startWorker();
  const redemption = await firstRedemption(new Client(ingress.url, key));
  return { key, tenant: id, keyOfLimits: limited.key, ingress, worker, redemption };
});
const { ingress, worker, key, keyOfLimits, tenant, redemption } = stack;
const operations = await readOperations(ingress.url);
const byName = new Map(operations.map((each) => [each.operationId, each]));
const book = new Ledgerbook(stack, tenant);
book.documents.add('coupons SPRING');
book.redemptions.add(redemption);
book.onceKeys.add('first');

async function firstRedemption(client: Client): Promise<string> {
  await client.put('/v1/coupons/SPRING', { kind: 'percent', percent_bp: 100 });
  const order = { id: 'o_first', total: { amount: 5_000, currency: 'USD' } };
  const body = { code: 'SPRING', customer_id: 'c_1', order };
  const made = await client.post<{ id: string }>('/v1/redemptions', body, {
    'idempotency-key': 'first',
  });
  expect(made.status).toBe(201);
  return made.body.id;
}

/** Counts who calls; nobody should. */
async function listen() {
  const called = { times: 0, address: '' };
  const server = createServer((socket) => {
    called.times++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  called.address = `127.0.0.1:${(server.address() as { port: number }).port}`;
  return called;
}

interface Asked {
  operationId: string;
  request: WireRequest;
  /** The path is not one that the document describes. */
  strayed: boolean;
}

const { address } = listener;
const ids = fc.constantFrom(
  'SPRING',
  'p_1',
  'user:u_1:earnings',
  'example_earning.credited',
  redemption,
);

function pathOf({ path, parameters }: Operation): Arbitrary<{ path: string; strayed: boolean }> {
  const inPath = parameters.filter((each) => each.in === 'path');
  const segments = inPath.map(({ schema }) => {
    const made = fitting(schema).map(String);
    const fits = schema.anyOf ? made : fc.oneof({ weight: 3, arbitrary: ids }, made);
    const right = fits.map((id) => ({ text: encodeURIComponent(id), strayed: false }));
    const wrong = hostileSegment(address).map((text) => ({ text, strayed: true }));
    return fc.oneof({ weight: 3, arbitrary: right }, wrong);
  });
  return fc.tuple(...segments).map((chosen) => ({
    path: inPath.reduce((made, { name }, at) => made.replace(`{${name}}`, chosen[at]!.text), path),
    strayed: chosen.some(({ strayed }) => strayed),
  }));
}

function bodyOf({ requestBody }: Operation): Arbitrary<string> {
  const [content] = Object.values(requestBody?.content ?? {});
  if (!content) return fc.constantFrom('', '', '{}');
  const examples = Object.values(content.examples ?? {}).map(({ value }) => value);
  const valid = fc.oneof(fc.constantFrom(...examples), fitting(content.schema));
  let count = 0;
  // Orders of their own, or one redemption would answer them all.
  const text = (value: unknown): string =>
    (JSON.stringify(value) ?? '').replace('"o_1"', `"o_${count++ % 100}"`);
  return fc.oneof(
    { weight: 3, arbitrary: valid.map(text) },
    { weight: 5, arbitrary: valid.chain((value) => mutated(value, address)).map(text) },
    fc.constantFrom('', '{', '[]', 'null', `"${CANARY}"`, `{"a":${CANARY}}`, '\ufeff{}', '[1e999]'),
  );
}

function askedOf(operation: Operation): Arbitrary<Asked> {
  const token = operation.operationId === 'putLimit' ? keyOfLimits : key;
  const own: [string, string][] = [['Authorization', `Bearer ${token}`]];
  if (operation.requestBody) own.push(['Content-Type', 'application/json']);
  const idempotent = hasHeader(operation, 'Idempotency-Key');
  const query = fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    hostileQuery(operation, address).map((text) => `?${text}`),
  );
  const extra = fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, hostileHeaders(address));
  return fc
    .tuple(pathOf(operation), query, bodyOf(operation), extra, fc.uuid())
    .map(([{ path, strayed }, search, body, more, uuid]) => {
      const named = new Set(more.map(([name]) => name.toLowerCase()));
      const kept = own.filter(([name]) => !named.has(name.toLowerCase()));
      if (idempotent && !named.has('idempotency-key')) kept.push(['Idempotency-Key', uuid]);
      const request = { method: operation.method, target: path + search, body };
      return {
        operationId: operation.operationId,
        strayed,
        request: { ...request, headers: [...kept, ...more] },
      };
    });
}

/** What takes more is asked more often. */
const anything = fc.oneof(
  ...operations.map((operation) => ({
    weight: operation.requestBody ? 6 : operation.parameters.length > 0 ? 3 : 1,
    arbitrary: askedOf(operation),
  })),
);

function check({ operationId, request, strayed }: Asked, reply: WireReply): void {
  const { status, headers, text } = reply;
  const documented = Object.keys(byName.get(operationId)!.responses).map(Number);
  if (strayed) documented.push(302, 400, 404, 405, 414, ...(request.method === 'GET' ? [200] : []));
  expect(documented).toContain(status);
  expect(status === 500 ? text : '').toBe('');
  expect(headers.get('x-request-id')).toMatch(/^[\x21-\x7e]{1,128}$/);
  expect(headers.get('x-injected')).toBeNull();
  if (status < 400) return;
  expect(reply.raw).not.toContain(CANARY);
  expect(reply.raw).not.toMatch(/\bat \w+ \(|\.ts:\d|node_modules|\/src\//);
  expect(headers.get('content-type')).toBe('application/problem+json');
  const problem = JSON.parse(text) as Record<string, unknown>;
  expect(problem).toMatchObject({ status, type: `/problems/${String(problem['code'])}` });
  expect(problem['request_id']).toBe(headers.get('x-request-id')!);
  expect(Object.keys(problem)).toEqual(
    expect.arrayContaining(['title', 'detail', 'code', 'status', 'type', 'request_id']),
  );
}

const seen = new Map<string, number>();
/** No invented id is one of those that we or gateways give out, and nobody can sign. */
const inVain = ({ operationId, parameters }: Operation): boolean =>
  /^take\w+Webhook$|^submitEvidence$/.test(operationId) ||
  parameters.some((each) => each.in === 'path' && each.schema.pattern?.includes('[0-9a-f]{12}'));

async function ask(asked: Asked): Promise<void> {
  const { operationId, request } = asked;
  const reply = await send(ingress.url, request);
  try {
    check(asked, reply);
  } catch (error) {
    const { raw } = reply;
    throw new Error(`${JSON.stringify(request).slice(0, 2_000)}\n${raw}\n${String(error)}`);
  }
  book.note(operationId, request, reply);
  const outcome = `${operationId} ${reply.status < 400 ? 'done' : 'refused'}`;
  seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
}

test('whatever is sent is answered as the document says', async () => {
  const many = fc.array(anything, { minLength: AT_ONCE, maxLength: AT_ONCE });
  await fc.assert(
    fc.asyncProperty(many, async (asked) => {
      await Promise.all(asked.map(ask));
    }),
    // What is thrown names the one request that failed: there is nothing to shrink.
    { numRuns: ROUNDS, seed: SEED, endOnFailure: true },
  );
}, 600_000);

test('both what is right and what is wrong of each operation was among it', async () => {
  for (const operation of operations) {
    const { operationId, requestBody, parameters } = operation;
    const outcomes: string[] = [];
    if (requestBody !== undefined && !inVain(operation)) outcomes.push('done');
    if (requestBody !== undefined || parameters.length > 0) outcomes.push('refused');
    const missing = () => outcomes.filter((outcome) => !seen.has(`${operationId} ${outcome}`));
    // What so few draws have left out is drawn by itself.
    for (const asked of fc.sample(askedOf(operation), { numRuns: 200, seed: SEED }))
      if (missing().length > 0) await ask(asked);
    expect([operationId, missing()]).toEqual([operationId, []]);
  }
}, 60_000);

test('what was refused left nothing behind, and the books are right', async () => {
  await book.check();
}, 60_000);

test('no address in a request was called, nor one in its first line', async () => {
  const headers: [string, string][] = [
    ['Host', address],
    ['X-Forwarded-Host', address],
    ['Authorization', `Bearer ${key}`],
  ];
  for (const target of [`http://${address}/v1/partners`, `//${address}/`, `/docs/..//${address}`])
    for (const method of ['GET', 'OPTIONS']) {
      const { status, raw } = await send(ingress.url, { method, target, headers, body: '' });
      expect(status).toBeLessThan(500);
      expect(raw).not.toContain(address);
    }
  expect(listener.times).toBe(0);
});

test('each log line is one object, and none repeats what was sent', () => {
  const lines = (ingress.output() + worker.output()).trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(10);
  for (const line of lines) {
    expect(JSON.parse(line)).toBeObject();
    expect(line).not.toContain(CANARY);
    expect(line).not.toContain(key);
    expect(line).not.toContain('request failed');
  }
});
