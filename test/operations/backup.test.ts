// The rehearsal: a backup taken in the middle of a load is put back to another place, workers start
// there, and whatever had been accepted when it began is in that ledger, once.
import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectPostgres } from '../../src/io/postgres.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { PARTITIONS, streamKey } from '../../src/stream/topology.ts';
import { expectBooksInOrder, settledReport } from '../ledger-proof.ts';
import { startLoad } from '../load-client.ts';
import { mixedEvents } from '../mixed-events.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { type Restored, dropRestored, emptyDatabase, mixed, restoreElsewhere } from './restored.ts';

const dir = mkdtempSync(join(tmpdir(), 'tallyrace-backup-'));
const stack = await openStack('backup', async (opened) => ({
  tenant: await opened.createTenant('backup'),
  ingress: await opened.startIngress({ QUEUE_WAIT_MS_MAX: '3600000' }),
  worker: await opened.startWorker(),
}));
afterAll(async () => {
  await dropRestored();
  rmSync(dir, { recursive: true, force: true });
}, 60_000);
const headers = { Authorization: `Bearer ${stack.tenant.key}`, 'Content-Type': 'application/json' };
const LIMIT = 8;

async function backUp(name: string): Promise<string> {
  const to = join(dir, name);
  const { exitCode, stderr } = await stack.run('backup', '--to', to);
  expect([exitCode, stderr]).toEqual([0, '']);
  return to;
}

function redeem(url: string, order: string): Promise<Response> {
  const body = {
    code: 'LIMITED',
    customer_id: `c_${order}`,
    order: { id: order, total: { amount: 5_000, currency: 'USD' } },
    commit: true,
  };
  return fetch(`${url}/v1/redemptions`, {
    method: 'POST',
    headers: { ...headers, 'Idempotency-Key': order },
    body: JSON.stringify(body),
  });
}

/** So many that each stream of events has some. */
function credit(url: string, prefix: string, prefer = ''): Promise<Response> {
  const events = Array.from({ length: 200 }, (_, n) => ({
    id: `${prefix}_${n}`,
    type: 'earning.credited',
    data: {
      ...{ user_id: `${prefix}_${n}`, kind: 'bonus', reference: prefix },
      amount: { amount: 1, currency: 'USD' },
    },
  }));
  const body = JSON.stringify(events);
  return fetch(`${url}/v1/events`, { method: 'POST', headers: { ...headers, prefer }, body });
}

async function acknowledgedIds(load: ReturnType<typeof startLoad>): Promise<string[]> {
  await eventually('a part of the load', () => load.tally.accepted.length > 1_500);
  return load.tally.accepted.map(({ id }) => id);
}

async function expectAllSettled(place: Restored, ids: readonly string[]): Promise<void> {
  // A worker raises offsets that an older Redis has forgotten within a second of its start.
  const report = await eventually('the worker has caught up', async () => {
    const now = await settledReport(place);
    return now.ok ? now : Promise.reject(new Error(JSON.stringify(now.problems)));
  });
  expect(report).toMatchObject({ ok: true, pending: 0, problems: [] });
  const rows = await place.owner<{ event_id: string }[]>`select event_id from outcomes`;
  const settled = new Set(rows.map(({ event_id: id }) => id));
  expect(ids.filter((id) => !settled.has(id))).toEqual([]);
  await expectBooksInOrder(place.owner);
}

function load(seed: number) {
  const { sent } = mixedEvents({ count: 6_000, users: 300, seed, contradictions: 0 });
  const events = sent.map((event) => ({ ...event, id: `s${seed}_${event.id}` }));
  const options = { urls: [stack.ingress.url], key: stack.tenant.key };
  return startLoad(events, { ...options, concurrency: 8, batchEvents: 20 });
}

/** Upkeep trims whole nodes of a stream, sooner or later; here all that is settled goes now. */
async function trimAll(): Promise<void> {
  await settledReport(stack);
  const redis = producerClient(stack.redisUrl, 'backup test');
  await redisReady(redis);
  for (const topic of ['events', 'coupons'] as const)
    for (let partition = 0; partition < PARTITIONS; partition++)
      await redis.xtrim(streamKey(topic, partition), 'MAXLEN', '=', 0);
  redis.disconnect();
}

let first = '';
let second = '';

test('a backup in the middle of a load has what was accepted before it', async () => {
  const terms = { kind: 'percent', percent_bp: 1_000, limits: { global: LIMIT } };
  const made = await fetch(`${stack.ingress.url}/v1/coupons/LIMITED`, {
    method: 'PUT',
    headers,
    body: JSON.stringify(terms),
  });
  expect(made.status).toBe(201);
  for (const order of ['o_1', 'o_2', 'o_3'])
    expect((await redeem(stack.ingress.url, order)).status).toBe(201);
  const running = load(1);
  const before = await acknowledgedIds(running);
  first = await backUp('first');
  await running.done;

  const place = await restoreElsewhere(stack, first);
  const [ingress] = await Promise.all([place.startIngress(), place.startWorker()]);
  await expectAllSettled(place, before);
  // A key that was answered before is answered so again, and the limit counts on from three.
  const replayed = await eventually('coupons are open', async () => {
    const answer = await redeem(ingress.url, 'o_1');
    return answer.status === 503 ? null : answer;
  });
  expect([replayed.status, replayed.headers.get('Idempotency-Replayed')]).toEqual([201, 'true']);
  const statuses: number[] = [];
  for (let order = 4; order <= LIMIT + 2; order++)
    statuses.push(
      await eventually('the code can be used', async () => {
        const { status } = await redeem(ingress.url, `o_${order}`);
        return status === 503 ? null : status;
      }),
    );
  expect(statuses.filter((status) => status === 201)).toHaveLength(LIMIT - 3);
  expect((await settledReport(place)).problems).toEqual([]);
}, 60_000);

test('what waited for a worker when the backup was taken is settled elsewhere', async () => {
  // Of these the first backup knows nothing, and the second only that they are settled.
  expect((await credit(stack.ingress.url, 'between', 'wait=ledger')).status).toBe(200);
  expect((await redeem(stack.ingress.url, 'o_between')).status).toBe(201);
  await trimAll();
  process.kill(stack.worker.pid, 'SIGSTOP');
  const running = load(2);
  const before = await acknowledgedIds(running);
  second = await backUp('second');
  process.kill(stack.worker.pid, 'SIGCONT');
  await running.done;
  const place = await restoreElsewhere(stack, second);
  await place.startWorker();
  await expectAllSettled(place, before);
}, 60_000);

test('with a Redis older than the ledger, what is settled stays settled once', async () => {
  const place = await restoreElsewhere(stack, second);
  const redis = producerClient(place.environment['REDIS_URL']!, 'backup test');
  await redisReady(redis);
  await redis.flushall();
  redis.disconnect();
  const alone = await place.run('restore', '--from', first, '--redis-only');
  expect([alone.exitCode, alone.stderr]).toEqual([0, '']);
  const before = await place.owner<{ event_id: string }[]>`select event_id from outcomes`;
  await place.startWorker();
  await expectAllSettled(
    place,
    before.map(({ event_id: id }) => id),
  );
}, 60_000);

test('it is for its owner only, and a damaged file is named', async () => {
  expect(statSync(first).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(first))
    expect([name, statSync(join(first, name)).mode & 0o777]).toEqual([name, 0o600]);
  const damaged = mixed(first, first, join(dir, 'damaged'));
  writeFileSync(join(damaged, 'tenants.rows.zst'), 'other bytes');
  rmSync(join(damaged, 'outcomes_3.rows.zst'));
  const { exitCode, stderr } = await stack.run('restore', '--from', damaged);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('is damaged: outcomes_3.rows.zst, tenants.rows.zst');
  rmSync(join(damaged, 'SHA256SUMS'));
  const unfinished = await stack.run('restore', '--from', damaged);
  expect(unfinished.stderr).toContain('holds no finished backup');
});

test('it goes into empty places only', async () => {
  const only = await stack.run('restore', '--from', first, '--redis-only');
  expect([only.exitCode, only.stderr]).toEqual([1, expect.stringContaining('Redis is not empty')]);
  const again = await stack.run('backup', '--to', first);
  expect([again.exitCode, again.stderr]).toEqual([1, expect.stringContaining('is not empty')]);
  const full = await stack.run('restore', '--from', first);
  expect([full.exitCode, full.stderr]).toEqual([1, expect.stringContaining('Redis is not empty')]);
});

test('a restore that was cut short is seen by whoever would start on it', async () => {
  const url = await emptyDatabase(stack);
  stack.environment['DATABASE_URL'] = url;
  const owner = connectPostgres(url, { max: 1, name: 'half', asOwner: true });
  await owner.unsafe('create schema tallyrace; create table tallyrace.restoring ()').simple();
  await owner.end();
  const { exitCode, stderr } = await stack.run('migrate');
  expect([exitCode, stderr]).toEqual([69, expect.stringContaining('was not finished')]);
  const onto = await stack.run('restore', '--from', first);
  expect(onto.exitCode).toBe(1);
  stack.environment['DATABASE_URL'] = stack.databaseUrl;
});

test('with a ledger older than Redis, what is missing is counted and named', async () => {
  const place = await restoreElsewhere(stack, mixed(first, second, join(dir, 'ledger-older')));
  await place.startWorker();
  // What was settled and trimmed after the first backup is in neither copy. No event comes behind.
  const named = await eventually(
    'each hole is counted and named',
    async () => {
      const { stdout } = await place.run('verify', '--json');
      type Report = { pending: number; problems: { check: string }[] };
      const { pending, problems } = JSON.parse(stdout) as Report;
      const [row] = await place.owner`select count(*)::int as n from streams where lost > 0`;
      const lost = problems.filter(({ check }) => check === 'lost');
      return pending === 0 && lost.length === row!['n'] ? lost.length : null;
    },
    45_000,
  );
  expect(named).toBeGreaterThan(0);
  // The counters of coupons waited for what is gone too.
  const { url } = await place.startIngress();
  const status = await eventually('coupons are open', async () => {
    const answer = await redeem(url, 'o_after');
    return answer.status === 503 ? null : answer.status;
  });
  expect(status).toBe(201);
  expect((await place.run('verify')).exitCode).toBe(1);
  await expectBooksInOrder(place.owner);
}, 90_000);
