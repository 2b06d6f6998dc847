// Months that were proven may be detached: what is left still proves every balance, and the sums of
// what is gone stand for it. A month that was never proven is missed.
import { afterAll, expect, test } from 'bun:test';
import { type Verdict, verify } from '../../src/store/verify.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('verify-archive');
const { id: tenant } = await stack.createTenant('archive');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());
// Nobody writes while this test looks, so time may be shut up to now.
await stack.owner`update verified_point set margin = '0'`;

const [month] = await stack.owner<{ old: string; from: string; to: string }[]>`
  select 'entries_' || to_char(now() - interval '1 month', 'YYYY_MM') as old,
         date_trunc('month', now() - interval '1 month')::text as from,
         date_trunc('month', now())::text as to`;
const { old, from, to } = month!;

async function append(run: string, count: number): Promise<void> {
  await engine.start();
  await engine.append(
    Array.from({ length: count }, (_, n) => earning(`${run}_${n}`, `u_${n % 3}`, 10)),
  );
  await engine.settled();
  await engine.stop();
}

/** As if it had been posted last month. */
async function backdate(): Promise<void> {
  for (const table of ['outcomes', 'entries'])
    await stack.owner.unsafe(
      `update ${table} set posted_at = date_trunc('month', now()) - interval '1 day'`,
    );
}

async function detached(look: () => Promise<void>): Promise<void> {
  await stack.owner.unsafe(`alter table entries detach partition ${old}`);
  try {
    await look();
  } finally {
    await stack.owner.unsafe(
      `alter table entries attach partition ${old} for values from ('${from}') to ('${to}')`,
    );
  }
}

function look(full = false): Promise<Verdict> {
  return verify(engine.redis, stack.sql, [], { full });
}

test('a month that was never proven is missed when it is gone', async () => {
  await append('old', 30);
  await backdate();
  await detached(async () => {
    const { problems } = await look();
    expect(problems).toContainEqual({
      check: 'archived',
      detail: expect.stringMatching(/entries of 30 outcomes posted before .* were detached before/),
    });
  });
});

test('a proven month may go, and what follows is proven from there', async () => {
  expect(await look()).toMatchObject({ ok: true });
  await detached(async () => {
    expect(await look()).toMatchObject({ ok: true, problems: [] });
    expect(await look(true)).toMatchObject({ ok: true, problems: [] });
    await append('new', 30);
    expect(await look()).toMatchObject({ ok: true, posted: 60 });
    expect(await look(true)).toMatchObject({ ok: true });

    const balance = (by: string) =>
      `update balances set balance = balance ${by} where account = 'user:u_1:earnings'`;
    await stack.owner.unsafe(balance('+ 1'));
    const { problems } = await look();
    await stack.owner.unsafe(balance('- 1'));
    expect(problems).toEqual([
      { check: 'balance', detail: expect.stringMatching(/user:u_1:earnings .* balance 201 at/) },
    ]);
  });
  expect(await look(true)).toMatchObject({ ok: true });
});

test('outcomes stay, and are held to what was proven of them', async () => {
  await detached(async () => {
    await stack.owner`update outcomes set tenant_id = tenant_id + 1 where event_id = 'old_3'`;
    const { problems } = await look();
    await stack.owner`update outcomes set tenant_id = tenant_id - 1 where event_id = 'old_3'`;
    expect(problems).toEqual([
      { check: 'changed', detail: expect.stringMatching(/event old_3 .* is not what it was/) },
    ]);
  });
  expect(await look()).toMatchObject({ ok: true });
});
