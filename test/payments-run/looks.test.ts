// When a charge that its gateway took and did not decide is asked for again: after as long as it
// has taken so far, however often it was tried before.
import { expect, test } from 'bun:test';
import { openStack } from '../stack.ts';

const { sql, owner, createTenant } = await openStack('looks');
const { id: tenant } = await createTenant('looks');

/** Its call was asked for and settled so many seconds ago, and it has not changed since. */
async function undecided(
  askedS: number,
  settledS: number,
  attempts: number,
  status = 'processing',
): Promise<string> {
  const id = Bun.randomUUIDv7();
  const key = `pay_${id}:charge:1`;
  await owner`
    insert into payments (id, tenant_id, status, customer_id, initiated_at, updated_at, body)
    values (${id}, ${tenant}, ${status}, 'c_1', now(),
            now() - make_interval(secs => ${settledS}::float8),
            '{"attempt": 1, "capture": "automatic"}')`;
  await owner`
    insert into effects (key, tenant_id, lane, kind, data, event_key, status, attempts, asked_at,
                         settled_at)
    values (${key}, ${tenant}, 'gateway:stripe', 'charge', '{}', gen_random_uuid(), 'done',
            ${attempts}, now() - make_interval(secs => ${askedS}::float8),
            now() - make_interval(secs => ${settledS}::float8))`;
  return key;
}

async function askedAgain(): Promise<string[]> {
  await owner`delete from effects where status = 'waiting'`;
  await sql`select system_charges_reopen(60000, 10)`;
  const rows = await owner`select key from effects where status = 'waiting' order by asked_at desc`;
  return rows.map(({ key }) => key as string);
}

test('tries while the gateway was away do not put off the next look', async () => {
  const due = [await undecided(90, 61, 15), await undecided(36_000, 3_601, 15)];
  await undecided(60, 59, 1);
  await undecided(1_000, 400, 1);
  expect(await askedAgain()).toEqual(due);
});

test('what is held and was to be captured waits for no minute', async () => {
  const due = await undecided(6, 3, 1, 'authorized');
  await undecided(6, 3, 1);
  expect(await askedAgain()).toEqual([due]);
});
