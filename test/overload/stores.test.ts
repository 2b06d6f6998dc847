// Stores that answer, but refuse: full, read-only, loading, busy, a wrong password, no connection
// left. Each becomes 503 with Retry-After and not a storm of errors, and heals by itself.
import { afterAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Subprocess } from 'bun';
import { Redis } from 'ioredis';
import { PARTITIONS, offsetKey, streamKey } from '../../src/stream/topology.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const ASKED = 300;
/** For each route and second ten, and a few of other parts. */
const LINES_MAX = 150;

const stack = await openStack('stores');
const tenant = await stack.createTenant('stores');
let ingress = await stack.startIngress();
const workers = [await stack.startWorker()];
/** Asks also while Redis is not ready, and nothing twice. */
const admin = new Redis(stack.redisUrl, {
  enableReadyCheck: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
});
admin.on('error', () => {});
let redisAgain: Subprocess | undefined;
afterAll(() => {
  admin.disconnect();
  redisAgain?.kill('SIGKILL');
});

const streams = Array.from({ length: PARTITIONS }, (_, partition) =>
  streamKey('events', partition),
);
let count = 0;

async function ask(method: string, path: string, body?: object): Promise<Response> {
  return fetch(ingress.url + path, {
    method,
    headers: {
      Authorization: `Bearer ${tenant.key}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': `key_${count}`,
    },
    ...(body && { body: JSON.stringify(body) }),
  });
}

const money = { amount: 100, currency: 'USD' };

function sendEvent(): Promise<Response> {
  const data = { user_id: 'u_1', kind: 'bonus', amount: money, reference: 'r' };
  return ask('POST', '/v1/events', { id: `e_${count++}`, type: 'earning.credited', data });
}

function redeem(): Promise<Response> {
  const order = { id: `o_${count++}`, total: money };
  return ask('POST', '/v1/redemptions', {
    code: 'STORES',
    customer_id: 'c_1',
    order,
    commit: true,
  });
}

const readBalance = (): Promise<Response> =>
  ask('GET', '/v1/accounts/user:u_1:earnings/balance?currency=USD');
const check = (): Promise<Response> =>
  ask('POST', '/v1/coupons/validate', { code: 'STORES', order: { total: money } });
const putPartner = (): Promise<Response> =>
  ask('PUT', '/v1/partners/p_1', {
    ...{ name: `P ${count++}`, share_bp: 1, commission_bp: 1, currency: 'USD', status: 'active' },
  });

const all = { sendEvent, redeem, readBalance, check, putPartner };
type Name = keyof typeof all;

async function statuses(name: Name, times: number): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: times }, all[name]));
  for (const answer of answers)
    if (answer.status === 503) expect(answer.headers.get('retry-after')).not.toBeNull();
  return [...new Set(answers.map(({ status }) => status))].toSorted();
}

async function allWell(): Promise<void> {
  for (const name of Object.keys(all) as Name[])
    await eventually(`${name} is answered well`, async () => (await all[name]()).ok);
}

async function settled(): Promise<number> {
  const [row] = await stack.owner`
    select sum(settled)::int as settled from streams where stream like 'events.%'`;
  return row!['settled'] as number;
}

async function accepted(): Promise<number> {
  const offsets = await admin.mget(streams.map((_, partition) => offsetKey('events', partition)));
  return offsets.reduce((sum, offset) => sum + Number(offset ?? 0), 0);
}

/** On the streams of Redis. */
async function entries(): Promise<number> {
  const lengths = await Promise.all(streams.map((key) => admin.xlen(key)));
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** `refused`: what is answered 503 meanwhile. All else is answered well, or, where a cache is not
 * to be had, 503 too; nothing else comes. */
async function duringOutage(refused: readonly Name[], goOn: readonly Name[]): Promise<void> {
  const before = lines();
  for (const name of refused) expect([name, await statuses(name, ASKED)]).toEqual([name, [503]]);
  for (const name of goOn) expect([name, await statuses(name, 20)]).toEqual([name, [200]]);
  expect(lines() - before).toBeLessThan(LINES_MAX);
}

function lines(): number {
  return `${ingress.output()}${workers.at(-1)!.output()}`.split('\n').length;
}

test('before anything is wrong', async () => {
  expect((await ask('PUT', '/v1/coupons/STORES', { kind: 'percent', percent_bp: 100 })).ok).toBe(
    true,
  );
  await allWell();
  await eventually('the worker works', async () => (await settled()) === (await accepted()));
});

test('Redis without memory: what it holds is settled and let go, by a new worker too', async () => {
  process.kill(workers[0]!.pid, 'SIGSTOP');
  for (let event = 0; event < 300; event++) expect((await sendEvent()).status).toBe(202);
  expect(await entries()).toBeGreaterThan(200);
  await admin.config('SET', 'maxmemory', '1mb');
  await duringOutage(['sendEvent', 'redeem'], ['readBalance', 'check', 'putPartner']);
  expect(await (await sendEvent()).json()).toMatchObject({
    ...{ code: 'overloaded', detail: 'Redis has no memory left for events.' },
  });
  await workers[0]!.kill('SIGKILL');
  workers.push(await stack.startWorker({ PROCESS_NAME: 'worker-1' }));
  await eventually('all are settled', async () => (await settled()) === (await accepted()));
  await eventually('they are let go', async () => (await entries()) < 110);
  expect(await settled()).toBeGreaterThan(300);
  await admin.config('SET', 'maxmemory', '0');
  await allWell();
}, 60_000);

test('Redis that only reads: a replica after a failover', async () => {
  await admin.replicaof('127.0.0.1', 1);
  await duringOutage(['sendEvent', 'redeem'], ['readBalance', 'check', 'putPartner']);
  await admin.replicaof('NO', 'ONE');
  await allWell();
}, 60_000);

test('Redis that cannot write its data', async () => {
  const [, dir] = (await admin.config('GET', 'dir')) as [string, string];
  // Where it would put its snapshot stands something else.
  mkdirSync(join(dir, 'dump.rdb'));
  await admin.config('SET', 'save', '3600 100000');
  await admin.bgsave();
  await eventually('it has noticed', async () =>
    (await admin.info('persistence')).includes('rdb_last_bgsave_status:err'),
  );
  await duringOutage(['sendEvent', 'redeem'], ['readBalance', 'check', 'putPartner']);
  await admin.config('SET', 'save', '');
  await allWell();
}, 60_000);

test('Redis that runs a script without end', async () => {
  await admin.config('SET', 'busy-reply-threshold', '10');
  const endless = admin.duplicate();
  endless.eval('while true do end', 0).catch(() => {});
  await eventually('it is busy', async () => {
    const answer = await admin.ping().catch(String);
    return answer.includes('BUSY');
  });
  await duringOutage(['sendEvent', 'redeem'], ['readBalance', 'check', 'putPartner']);
  await admin.script('KILL');
  endless.disconnect();
  await eventually('it has ended', () => admin.config('SET', 'busy-reply-threshold', '5000'));
  await allWell();
}, 60_000);

test('Redis with another password', async () => {
  const { password } = new URL(stack.redisUrl);
  await admin.config('SET', 'requirepass', 'another');
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await eventually('clients are out', async () => (await statuses('sendEvent', 1))[0] === 503);
  await duringOutage(['sendEvent', 'redeem'], ['readBalance', 'check', 'putPartner']);
  await admin.config('SET', 'requirepass', password);
  await allWell();
}, 60_000);

test('Redis that loads its data', async () => {
  const [server, settings] = (await Bun.file(`/proc/${stack.redisPid}/cmdline`).text()).split('\0');
  for (let key = 0; key < 3_000; key++) void admin.set(`filling:${key}`, '1');
  await admin.ping();
  process.kill(stack.redisPid, 'SIGTERM');
  await eventually('it has ended', () => !existsSync(`/proc/${stack.redisPid}`));
  const args = [settings!, '--key-load-delay', '1000'];
  redisAgain = Bun.spawn([server!, ...args], { stdio: ['ignore', 'ignore', 'ignore'] });
  const isLoading = async () => (await admin.ping().catch(String)).includes('LOADING');
  await eventually('it is loading', isLoading);
  await duringOutage(['sendEvent', 'redeem'], ['check', 'putPartner']);
  await allWell();
}, 60_000);

test('Postgres without a connection left', async () => {
  const name = `limited_${process.pid}`;
  await stack.owner.unsafe(`create role ${name} login password 'x' in role tallyrace_app`);
  const own = new URL(stack.databaseUrl);
  [own.username, own.password] = [name, 'x'];
  ingress = await stack.startIngress({ DATABASE_URL: own.href });
  await allWell();
  await stack.owner.unsafe(`alter role ${name} connection limit 0`);
  await stack.owner`select pg_terminate_backend(pid) from pg_stat_activity where usename = ${name}`;
  await duringOutage(['putPartner'], ['check']);
  expect(await statuses('sendEvent', 20)).toEqual([202]);
  await stack.owner.unsafe(`alter role ${name} connection limit -1`);
  await allWell();
  await ingress.kill('SIGKILL');
  await stack.owner.unsafe(`drop role ${name}`);
}, 60_000);
