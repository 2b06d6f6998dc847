// Redis comes back older than what was acknowledged: its tail is cut, as a power cut does it under
// a setting that allows it, or it is empty. What is gone is told, and no position is given twice.
import { afterAll, beforeEach, expect, setDefaultTimeout, test } from 'bun:test';
import { Client } from '../client.ts';
import { type Started, eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { RedisAddress, RedisServer } from './servers.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('lost-tail');
Object.assign(stack.environment, { LEASE_MS: '600', LEASE_RENEW_MS: '200' });
const { key } = await stack.createTenant('lost-tail');

/** All of one user, so that they are on one stream. */
const event = (id: string) => ({
  id,
  type: 'earning.credited',
  data: { user_id: 'u_1', kind: 'test', amount: { amount: 5, currency: 'USD' }, reference: id },
});
const ids = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}_${n}`);

interface Reply {
  results: { status: string; position: string; outcome?: { verdict: string } }[];
}

let server: RedisServer;
let address: RedisAddress;
let ingress: Started;
let client: Client;
const started: Started[] = [];

beforeEach(async () => {
  for (const process of started.splice(0)) await process.kill('SIGKILL');
  await stack.owner`
    truncate outcomes, entries, balances, streams, dead_letters, deferred, conflicts`;
  server = await RedisServer.start();
  address = await RedisAddress.open(server);
  stack.environment['REDIS_URL'] = address.url;
  await startIngress();
});
afterAll(async () => {
  for (const process of started) await process.kill('SIGKILL');
});

async function startIngress(): Promise<void> {
  ingress = await stack.startIngress();
  started.push(ingress);
  client = new Client(ingress.url, key);
}

async function startWorker(): Promise<Started> {
  const worker = await stack.startWorker();
  started.push(worker);
  return worker;
}

/** The offsets that were acknowledged. */
async function accept(names: readonly string[], prefer = 'respond-async'): Promise<number[]> {
  const { status, body } = await eventually('it is accepted', async () => {
    const reply = await client.post<Reply>('/v1/events', names.map(event), { prefer });
    return reply.status < 300 ? reply : null;
  });
  expect([200, 202]).toContain(status);
  return body.results.map(({ position }) => Number(position.split('.')[2]));
}

async function settledTo(offset: number): Promise<void> {
  await eventually('the ledger has settled it', async () => {
    const [row] = await stack.owner`select max(settled)::int as settled from streams`;
    return row!['settled'] >= offset;
  });
}

async function verdict(): Promise<{ ok: boolean; problems: { check: string; detail: string }[] }> {
  const { stdout } = await stack.run('verify', '--json');
  return JSON.parse(stdout) as Awaited<ReturnType<typeof verdict>>;
}

/** Another server, on what this one had written by then. */
async function older(): Promise<RedisServer> {
  return await RedisServer.start({}, server.dir);
}

test('a tail that no worker had read is counted and named; sent again it gets in', async () => {
  expect(await accept(ids('kept', 10))).toHaveLength(10);
  const copy = await older();
  const lost = ids('lost', 7);
  expect(await accept(lost)).toEqual([11, 12, 13, 14, 15, 16, 17]);
  await server.kill();
  address.lead(copy);
  // No position of a lost event is given to another one: the hole is how the loss is known.
  expect(await accept(['after'])).toEqual([18]);
  const worker = await startWorker();
  await settledTo(18);
  const { ok, problems } = await verdict();
  expect(ok).toBe(false);
  expect(problems).toEqual([
    { check: 'lost', detail: expect.stringMatching(/stream events\.\d: Redis lost 7 accepted/) },
  ]);
  // The client was told 202. One that keeps what it sent until the ledger has it sends it again.
  expect(await accept(lost)).toHaveLength(7);
  await settledTo(25);
  const [row] = await stack.owner`select count(*)::int as outcomes from outcomes`;
  expect(row!['outcomes']).toBe(18);
  await worker.kill('SIGTERM');
});

test('a tail that the ledger had settled costs nothing, and no offset is given twice', async () => {
  const first = await startWorker();
  await accept(ids('kept', 5), 'wait=ledger');
  const copy = await older();
  await accept(ids('tail', 5), 'wait=ledger');
  await settledTo(10);
  await first.kill('SIGKILL');
  await ingress.kill('SIGKILL');
  await server.kill();
  address.lead(copy);
  // Nobody who was there remembers, and no worker runs to raise what Redis has forgotten.
  await startIngress();
  expect(await accept(['after'])).toEqual([11]);
  const asked = await client.post<Reply>('/v1/events', event('waits'), {
    prefer: 'wait=ledger; timeout=300',
  });
  expect([asked.status, asked.body.results[0]!.outcome]).toEqual([202, undefined]);
  const second = await startWorker();
  await settledTo(12);
  expect(await verdict()).toMatchObject({ ok: true, problems: [] });
  const balance = await client.get('/v1/accounts/user:u_1:earnings/balance');
  expect(balance.body).toMatchObject({ sequence: 12 });
  await second.kill('SIGTERM');
});
