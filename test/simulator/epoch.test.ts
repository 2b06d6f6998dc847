// The bug that the simulator plants in its model of `ledger_write`, planted in Postgres itself: a
// statement that does not look at the epoch lets a worker commit after it lost its lease.
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type BatchItem, planBatch } from '../../src/ledger/batch.ts';
import { eventKey, fingerprint } from '../../src/ledger/identity.ts';
import { BatchState } from '../../src/ledger/state.ts';
import { leaseStore } from '../../src/store/leases.ts';
import { faultOf, writeBatch } from '../../src/store/writer.ts';
import { rules } from '../../consumers/index.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('epoch');
const { id: tenant } = await stack.createTenant('epoch');
const source = await Bun.file(join(import.meta.dir, '../../sql/queries/ledger.sql')).text();
const CHECK = 's.epoch = f.epoch and s.settled = f.since';

const leasesOf = (worker: string) =>
  leaseStore(stack.sql, {
    ...{ worker, instance: randomUUID(), leaseMs: 60_000, streams: ['events.0'] },
  });

async function write(id: string, offset: number, epoch: string): Promise<string> {
  const body = Buffer.from(id);
  const data = { user_id: 'u_1', kind: 'test', amount: { amount: 5, currency: 'USD' } };
  const type = 'earning.credited';
  const item: BatchItem = {
    ...{ stream: 'events.0', offset, events: 1, attempts: 0, body, broken: null },
    ...{ key: eventKey(tenant, id), fingerprint: fingerprint(type, body), traceparent: null },
    event: { tenant, id, type, acceptedAt: 1_700_000_000_000, data },
    definition: null,
  };
  const [readsOf, known, state] = [new Map([[item, {}]]), new Map(), new BatchState()];
  const plan = planBatch({ items: [item], readsOf, known, rules, state, deferralsMax: 0 });
  const step = { stream: 'events.0', epoch, from: offset - 1, to: offset };
  return await writeBatch(stack.sql, plan, [{ ...step, renumbered: [], lost: [] }]).then(
    () => 'written',
    faultOf,
  );
}

test('a worker that lost its lease commits only where the check is missing', async () => {
  const [first, second] = [leasesOf('first'), leasesOf('second')];
  await first.renew(true);
  await second.renew(true);
  const held = await first.acquire('events.0');
  await stack.owner`update workers set lease_until = now() - interval '1 s' where worker = 'first'`;
  const taken = await second.acquire('events.0');
  expect(await write('late', 1, held!.epoch)).toBe('fenced');

  expect(source.split(CHECK)).toHaveLength(2);
  await stack.owner.unsafe(source.replace(CHECK, 'true'));
  expect(await write('late', 1, held!.epoch)).toBe('written');
  expect(await write('again', 1, taken!.epoch)).toBe('written');
});
