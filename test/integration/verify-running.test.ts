// verify on a system that works: no false alarm while workers commit and time is being shut under
// them, what is proven grows, and months that were detached do not alarm.
import { afterAll, expect, test } from 'bun:test';
import { verify } from '../../src/store/verify.ts';
import { Engine, earning } from '../engine.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('verify-running');
const { id: tenant } = await stack.createTenant('verify');
const engine = await Engine.open(stack, tenant);
afterAll(() => engine.close());
// As hard as it can be: what is posted now is shut at once, up to the writes under way.
await stack.owner`update verified_point set margin = '0'`;

const EVENTS = 12_000;

/** One in ten comes twice, one in ten debits, and all share the platform's account. */
function* load(): Generator<ReturnType<typeof earning>> {
  for (let n = 0; n < EVENTS; n++) {
    yield earning(`e_${n}`, `u_${n % 50}`, n % 10 === 9 ? -5 : 10);
    if (n % 10 === 0) yield earning(`e_${n}`, `u_${n % 50}`, 10);
  }
}

test('nothing is reported that is not so, while workers commit', async () => {
  await engine.start();
  let appending = true;
  const appended = (async () => {
    let some: ReturnType<typeof earning>[] = [];
    for (const event of load()) {
      some.push(event);
      if (some.length < 200) continue;
      await engine.append(some.splice(0));
      await Bun.sleep(5);
    }
    await engine.append(some);
    await engine.settled(60_000);
    appending = false;
  })();
  const ends = new Set<string | null>();
  for (let round = 0; appending; round++) {
    const verdict = await verify(engine.redis, stack.sql, [], { full: round % 3 === 2 });
    expect(verdict.problems).toEqual([]);
    ends.add(verdict.verified_to);
  }
  await appended;
  // It was shut while it was being written, not only before and after.
  expect(ends.size).toBeGreaterThan(2);
  const last = await verify(engine.redis, stack.sql, [], { full: true });
  expect(last).toMatchObject({ ok: true, pending: 0, duplicates: EVENTS / 10 });
  const [kept] = await stack.owner`
    select sum(outcomes)::int as outcomes from verified_ranges`;
  expect(kept).toEqual({ outcomes: EVENTS });
}, 120_000);

test('two at once do not disturb each other', async () => {
  await engine.append([earning('late', 'u_1', 10)]);
  await engine.settled();
  const both = await Promise.all([1, 2, 3].map(() => verify(engine.redis, stack.sql)));
  expect(both.flatMap(({ problems }) => problems)).toEqual([]);
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
});

test('a clock that was set back posts nothing into time that is shut', async () => {
  await stack.owner`update verified_point set shut_until = now() + interval '1 minute'`;
  await engine.append([earning('behind', 'u_1', 10)]);
  await engine.settled();
  const [row] = await stack.owner`
    select o.posted_at = p.shut_until as held, e.posted_at = o.posted_at as alike
    from outcomes o join entries e using (event_key), verified_point p
    where o.event_id = 'behind' limit 1`;
  expect(row).toEqual({ held: true, alike: true });
  expect((await verify(engine.redis, stack.sql)).problems).toEqual([]);
  await engine.stop();
});
