// verify names what is off, row and all: each of these damages is done by hand, to rows that have
// just been written and to rows that were proven before, and each must be named until it is gone.
import { afterAll, describe, expect, test } from 'bun:test';
import { BalanceCache } from '../../src/cache/balances.ts';
import { cachedBalances } from '../../src/store/accounts.ts';
import { type Verdict, verify } from '../../src/store/verify.ts';
import { hashTag, partitionOf } from '../../src/stream/topology.ts';
import { type Damage, damages, mixedLedger } from '../damages.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('verify');
const { id: tenant } = await stack.createTenant('verify');
const engine = await mixedLedger(stack, tenant);
afterAll(() => engine.close());

function look(full = false): Promise<Verdict> {
  return verify(engine.redis, stack.sql, [], { full });
}

/** Damages, looks twice, repairs: the statements of a pair undo each other. */
async function damaged({ damage, repair }: Pick<Damage, 'damage' | 'repair'>): Promise<Verdict> {
  const before = (await look()).verified_to;
  await stack.owner.unsafe(damage).simple();
  const found = await look();
  const again = await look();
  await stack.owner.unsafe(repair).simple();
  expect(again.problems.map(({ check }) => check).toSorted()).toEqual(
    found.problems.map(({ check }) => check).toSorted(),
  );
  expect(again.ok).toBe(false);
  const repaired = await look();
  expect(repaired.problems).toEqual([]);
  expect(repaired.verified_to! >= before!).toBe(true);
  return found;
}

function expectNamed({ problems, found }: Verdict, named: Damage['named']): void {
  for (const [check, detail] of Object.entries(named)) {
    expect(problems).toContainEqual({ check, detail: expect.stringMatching(detail) });
    expect(found[check]).toBeGreaterThan(0);
  }
}

test('a whole ledger has no problem, and its counts add up', async () => {
  expect(await look()).toMatchObject({
    ...{ ok: true, problems: [], found: {}, scope: 'incremental' },
    ...{ accepted: 44, posted: 40, refused: 2, dead: 1, pending: 1, duplicates: 1 },
  });
});

describe('among rows that are new', () => {
  for (const damage of damages)
    test(`${damage.what} is named`, async () => expectNamed(await damaged(damage), damage.named));
});

describe('among rows that were proven before', () => {
  test('history is proven, and kept as a stretch', async () => {
    // Nobody writes here, so time may be shut up to now.
    await stack.owner`update verified_point set margin = '0'`;
    expect(await look()).toMatchObject({ ok: true });
    const [row] = await stack.owner`
      select sum(outcomes)::int as outcomes, sum(entries)::int as entries from verified_ranges`;
    expect(row).toEqual({ outcomes: 41, entries: 80 });
  });

  for (const damage of damages)
    test(`${damage.what} is named`, async () =>
      expectNamed(await damaged(damage), damage.changed ?? damage.named));

  const e17 = `(select event_key from outcomes where event_id = 'e_17')`;
  const unseen: Damage[] = [
    {
      what: 'a body that was changed',
      damage: `update outcomes set body = body || '\\x00' where event_id = 'e_5'`,
      repair: `update outcomes set body = substring(body for length(body) - 1)
               where event_id = 'e_5'`,
      named: { changed: /event e_5 \(key .*, stream events\.\d offset \d+\) is not what it was/ },
    },
    {
      what: 'an entry that was given to another event',
      damage: `update entries set event_key = (select event_key from outcomes
                 where event_id = 'e_21') where event_key = ${e17} and amount > 0`,
      repair: `update entries set event_key = ${e17} where amount > 0
               and account_key = (select account_key from balances
                 where account = 'user:u_1:earnings') and sequence = 5`,
      named: { changed: /entry 5 of account user:u_1:earnings is not what it was/ },
    },
    {
      what: 'a history that was rewritten whole, in every row that depends on it',
      damage: rewritten(1),
      repair: rewritten(-1),
      named: { changed: /entries posted from .*: 80 were verified, 80 are there/ },
    },
    {
      what: 'an outcome that was slipped in',
      damage: `insert into outcomes select gen_random_uuid(), 9, fingerprint, accepted_at,
                 posted_at, tenant_id, verdict, 'slipped', type, stream, reason, body
               from outcomes where event_id = 'e_5'`,
      repair: `delete from outcomes where event_id = 'slipped'`,
      named: { changed: /41 were verified, 42 are there; event slipped/, offset: /stream/ },
    },
  ];
  for (const damage of unseen)
    test(`${damage.what} is named`, async () => expectNamed(await damaged(damage), damage.named));

  const forged: Damage[] = [
    {
      what: 'a verified point that was moved forward',
      damage: `update verified_point set verified_until = verified_until + interval '1 second'`,
      repair: `update verified_point set verified_until = verified_until - interval '1 second'`,
      named: { verified_point: /said to be verified until .*, but proven stretches end at/ },
    },
    {
      what: 'sums that were changed',
      damage: `update verified_ranges set entry_digest = entry_digest + 5 where entries > 0`,
      repair: `update verified_ranges set entry_digest = entry_digest - 5 where entries > 0`,
      named: { changed: /entries posted from .*; what differs is not one row/ },
    },
    {
      what: 'a stretch that is gone',
      damage: `create table kept as select * from verified_ranges where entries > 0;
               delete from verified_ranges where entries > 0`,
      repair: `insert into verified_ranges select * from kept; drop table kept`,
      named: { verified_point: /proven stretches/ },
    },
    {
      what: 'a sum of a stream that was changed',
      damage: `update verified_streams set posted = posted + 1 where posted > 0`,
      repair: `update verified_streams set posted = posted - 1 where posted > 1`,
      named: { verified_point: /stream events\.\d: proven stretches add up to something else/ },
    },
  ];
  for (const damage of forged)
    test(`${damage.what} is named`, async () => expectNamed(await damaged(damage), damage.named));

  test('what grows while it is looked at is still held to what was proven of it', async () => {
    await stack.owner`update outcomes set accepted_at = accepted_at + interval '1 s'
                      where event_id = 'e_5'`;
    // One at a time, so that the new stretch is joined to the old one at a known moment.
    const { found } = await verify(engine.redis, stack.sql, [], { connections: 1 });
    await stack.owner`update outcomes set accepted_at = accepted_at - interval '1 s'
                      where event_id = 'e_5'`;
    expect(found).toEqual({ changed: 1 });
    expect((await look()).problems).toEqual([]);
  });

  test('twenty of a kind are named, and how many there are', async () => {
    await stack.owner`update entries set balance_after = balance_after + sequence * sequence`;
    const { problems, found } = await look();
    await stack.owner`update entries set balance_after = balance_after - sequence * sequence`;
    expect(problems.filter(({ check }) => check === 'balance_chain')).toHaveLength(20);
    expect(found['balance_chain']).toBe(80);
    expect(await look(true)).toMatchObject({ ok: true, scope: 'full' });
  });

  test('the application may not move the point, nor keep a stretch that it made up', async () => {
    for (const statement of [
      'update verified_point set verified_until = now()',
      'delete from verified_ranges',
      `insert into verified_streams values ('events.0', 1, 0, 1, 1)`,
      `select verify_keep(r) from (select null::verified_ranges as r) x`,
      'select * from verify_point()',
    ])
      expect(await stack.sql.unsafe(statement).catch((error: Error) => error.message)).toMatch(
        /permission denied/,
      );
    const soon = new Date(Date.now() + 60_000).toISOString();
    const early = stack.sql`
      select s.* from system_verify_state() p,
        system_verify_stretch(p.verified_until::timestamptz, ${soon}::text::timestamptz) s`;
    expect(await early.catch((error: Error) => error.message)).toMatch(/rows may still come/);
  });
});

/** Moves 1 from one event of u_1 to another, with all that follows in amounts and balances. */
function rewritten(by: 1 | -1): string {
  const legs = (id: string, change: number): string =>
    `update entries e set amount = amount + sign(amount) * ${change}
       where event_key = (select event_key from outcomes where event_id = '${id}');`;
  return `${legs('e_1', by)} ${legs('e_5', -by)}
    update entries e set balance_after = balance_after + ${by} where sequence = 1
      and account_key = (select account_key from balances where account = 'user:u_1:earnings');
    update entries e set balance_after = balance_after - ${by}
      from (select min(sequence) as low, max(sequence) as high from entries
        where account_key = (select account_key from balances where account = 'platform:earnings')
          and event_key in (select event_key from outcomes where event_id in ('e_1', 'e_5'))) p
      where account_key = (select account_key from balances where account = 'platform:earnings')
        and sequence >= p.low and sequence < p.high`;
}

test('a cached balance that differs is named', async () => {
  const account = 'user:u_2:earnings';
  await cachedBalances(new BalanceCache(engine.redis, 60), stack.sql, tenant, account);
  const key = `${hashTag(partitionOf(tenant, account))}:balances:${tenant}:${account}`;
  const right = (await engine.redis.hget(key, 'USD'))!;
  await engine.redis.hset(key, 'USD', '10:999');
  const { problems } = await look();
  await engine.redis.hset(key, 'USD', right);
  expect(problems).toEqual([
    { check: 'balance_cache', detail: expect.stringMatching(/user:u_2:earnings .* cached 999/) },
  ]);
  expect((await look()).problems).toEqual([]);
});

test('offsets that Redis has forgotten are named', async () => {
  const key = `${hashTag(partitionOf(tenant, 'u_1'))}:events:offset`;
  const right = (await engine.redis.get(key))!;
  await engine.redis.set(key, 1);
  const { problems } = await look();
  await engine.redis.set(key, right);
  expect(problems).toEqual([
    { check: 'offsets', detail: expect.stringMatching(/Redis counts 1 events, \d+ are settled/) },
  ]);
});
