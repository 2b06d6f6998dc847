// Leases: one owner a stream, taken over when it dies, and fenced when it wakes too late.
import { afterAll, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { type BatchItem, planBatch } from '../../src/ledger/batch.ts';
import { eventKey, fingerprint } from '../../src/ledger/identity.ts';
import { BatchState } from '../../src/ledger/state.ts';
import { leaseStore } from '../../src/store/leases.ts';
import { faultOf, writeBatch } from '../../src/store/writer.ts';
import { verify } from '../../src/store/verify.ts';
import { rules } from '../../consumers/index.ts';
import { Engine, earning } from '../engine.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('lease');
const { id: tenant } = await stack.createTenant('lease');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());

function leasesOf(worker: string, leaseMs = 60_000) {
  const streams = ['events.0', 'events.1'];
  return leaseStore(stack.sql, { worker, instance: randomUUID(), leaseMs, streams });
}

function itemOf(id: string, offset: number): BatchItem {
  const { type, data } = earning(id, 'u_1', 5);
  const body = Buffer.from(id);
  return {
    stream: 'events.0',
    offset,
    events: 1,
    key: eventKey(tenant, id),
    fingerprint: fingerprint(type, body),
    attempts: 0,
    event: { tenant, id, type, acceptedAt: 1_700_000_000_000, data },
    definition: null,
    traceparent: null,
    body,
    broken: null,
  };
}

async function write(item: BatchItem, epoch: string): Promise<string> {
  const state = new BatchState();
  const readsOf = new Map([[item, {}]]);
  const plan = planBatch({
    items: [item],
    readsOf,
    known: new Map(),
    rules,
    state,
    deferralsMax: 0,
  });
  const [from, to] = [item.offset - 1, item.offset];
  const step = { stream: item.stream, epoch, from, to, renumbered: [], lost: [] };
  return await writeBatch(stack.sql, plan, [step]).then(() => 'written', faultOf);
}

test('only the holder of the newest epoch can commit', async () => {
  const [first, second] = [leasesOf('first'), leasesOf('second')];
  await first.renew(true);
  await second.renew(true);
  const held = await first.acquire('events.0');
  expect(held).toEqual({ epoch: '1', settled: 0 });
  expect(await second.acquire('events.0')).toBeNull();
  expect(await write(itemOf('a', 1), held!.epoch)).toBe('written');

  // The first freezes past its lease, and the second takes over.
  await stack.owner`update workers set lease_until = now() - interval '1 s' where worker = 'first'`;
  const taken = await second.acquire('events.0');
  expect(taken).toEqual({ epoch: '2', settled: 1 });
  expect(await write(itemOf('b', 2), held!.epoch)).toBe('fenced');
  expect(await stack.owner`select 1 from outcomes where event_id = 'b'`).toHaveLength(0);
  expect(await write(itemOf('b', 2), taken!.epoch)).toBe('written');
  expect(await write(itemOf('c', 2), taken!.epoch)).toBe('fenced');
  expect(await write(itemOf('b', 3), taken!.epoch)).toBe('repeat');
  await stack.owner`truncate streams, workers`;
  await stack.owner`truncate outcomes, entries, balances`;
});

test('a newer process of a name replaces the older one', async () => {
  const [older, newer] = [leasesOf('same'), leasesOf('same')];
  await older.renew(true);
  expect((await older.renew(false)).current).toBe(true);
  await newer.renew(true);
  expect((await older.renew(false)).current).toBe(false);
  expect((await newer.renew(false)).current).toBe(true);
  await stack.owner`truncate streams, workers`;
});

test('workers freeze, are killed and come back under load; each event is posted once', async () => {
  const workers = [await stack.startWorker(), await stack.startWorker()];
  const events = Array.from({ length: 4_000 }, (_, n) => earning(`e_${n}`, `u_${n % 50}`, 3));
  const feeding = (async () => {
    for (let index = 0; index < events.length; index += 100) {
      await engine.append(events.slice(index, index + 100));
      await Bun.sleep(50);
    }
  })();
  await Bun.sleep(600);
  process.kill(workers[0]!.pid, 'SIGSTOP');
  await Bun.sleep(3_500);
  process.kill(workers[0]!.pid, 'SIGCONT');
  await workers[1]!.kill('SIGKILL');
  const third = await stack.startWorker();
  await feeding;
  expect(await engine.settled(30_000)).toMatchObject({ posted: 4_000, dead: 0, duplicate: 0 });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
  await eventually('the third worker works', async () => {
    const [row] = await stack.owner`select 1 from workers where worker = 'worker-3'`;
    return row ?? null;
  });
  expect(await third.kill('SIGTERM')).toBe(0);
  const owners = await stack.owner`select distinct owner from streams where owner is not null`;
  expect(owners.map((row) => row['owner'])).not.toContain('worker-3');
}, 90_000);
