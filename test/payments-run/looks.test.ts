// When a charge that its gateway took and did not decide is asked for again: after as long as it
// has taken so far, however often it was tried before.
import { expect, test } from 'bun:test';
import { openStack } from '../stack.ts';

const { sql, owner, createTenant } = await openStack('looks');
const { id: tenant } = await createTenant('looks');

/** Undecided; its call was asked for and settled so many seconds ago. */
async function undecided(askedS: number, settledS: number, attempts: number): Promise<string> {
  const id = Bun.randomUUIDv7();
  const key = `pay_${id}:charge:1`;
  await owner`
    insert into payments (id, tenant_id, status, customer_id, initiated_at, updated_at, body)
    values (${id}, ${tenant}, 'processing', 'c_1', now(), now() - interval '1 day',
            '{"attempt": 1}')`;
  await owner`
    insert into effects (key, tenant_id, lane, kind, data, event_key, status, attempts, asked_at,
                         settled_at)
    values (${key}, ${tenant}, 'gateway:stripe', 'charge', '{}', gen_random_uuid(), 'done',
            ${attempts}, now() - make_interval(secs => ${askedS}::float8),
            now() - make_interval(secs => ${settledS}::float8))`;
  return key;
}

test('tries while the gateway was away do not put off the next look', async () => {
  const due = [await undecided(90, 61, 15), await undecided(36_000, 3_601, 15)];
  await undecided(60, 59, 1);
  await undecided(1_000, 400, 1);
  await sql`select system_charges_reopen(60000, 10)`;
  const rows = await owner`select key from effects where status = 'waiting' order by asked_at desc`;
  expect(rows.map(({ key }) => key as string)).toEqual(due);
});
