// Lanes against a real Postgres: calls are made at least once under their keys, settled once, held
// back by a breaker, bounded by a bulkhead, and taken over from a worker that died.
import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  Lane,
  type LaneHandler,
  type LaneOptions,
  type LaneParts,
  type Report,
} from '../../src/effects/lane.ts';
import { laneMetrics } from '../../src/effects/metrics.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { type ClaimedEffect, effectStore } from '../../src/store/effects.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('lane');
const { id: tenant } = await stack.createTenant('lane');
const { id: other } = await stack.createTenant('other');
const store = effectStore(stack.sql);
const reported: string[] = [];
const lanes: Lane[] = [];

const options: LaneOptions = {
  name: 'test',
  concurrency: 4,
  timeoutMs: 500,
  backoff: { baseMs: 10, maxMs: 50 },
  attemptsMax: 20,
  breaker: { failures: 5, openMs: 100 },
};

async function ask(keys: readonly string[], of = tenant): Promise<void> {
  const rows = keys.map((key) => ({
    ...{ key, tenant_id: of, lane: 'test', kind: 'ping', data: { key } },
    event_key: '00000000-0000-0000-0000-000000000001',
  }));
  await stack.owner`select effects_write(${JSON.stringify(rows)}::text::jsonb)`;
}

const many = (word: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${word}_${n}`);

function start(
  handler: LaneHandler,
  more: Partial<LaneOptions> = {},
  parts: Partial<LaneParts> = {},
): Lane {
  const lane = new Lane(
    {
      store,
      handler,
      report: (effect: ClaimedEffect, reports: readonly Report[]) => {
        for (const { suffix } of reports) reported.push(`${effect.key}/${suffix}`);
        return Promise.resolve();
      },
      metrics: laneMetrics(new Metrics(), 'test'),
      log: createLog('lane', 'silent'),
      ...parts,
    },
    { ...options, ...more },
  );
  lanes.push(lane);
  lane.start();
  return lane;
}

/** As when the process dies between the event and its word that the call is done, once. */
function dyingAfterReport(): Partial<LaneParts> {
  let deaths = 1;
  return {
    store: {
      ...store,
      done: (effect) =>
        deaths-- > 0 ? Promise.reject(new Error('it has died')) : store.done(effect),
    },
  };
}

async function statuses(): Promise<Record<string, number>> {
  const rows = await stack.owner`select status, count(*)::int as n from effects group by 1`;
  return Object.fromEntries(rows.map((row) => [row['status'] as string, row['n'] as number]));
}

const done = { done: [{ suffix: 'done', type: 'x', data: {} }] };

beforeEach(async () => {
  await Promise.all(lanes.splice(0).map((lane) => lane.stop()));
  await stack.owner`delete from effects`;
  reported.length = 0;
});
afterAll(() => Promise.all(lanes.map((lane) => lane.stop())));

test('every call is made, by two workers side by side, each once', async () => {
  const keys = many('k', 100);
  await ask(keys);
  await ask(keys);
  const calls: string[] = [];
  const handler = { call: ({ key }: ClaimedEffect) => Promise.resolve((calls.push(key), done)) };
  start(handler);
  start(handler);
  await eventually('all are done', async () => (await statuses())['done'] === 100);
  expect(calls.toSorted()).toEqual(keys.toSorted());
  expect(reported).toHaveLength(100);
});

test('one that fails is made again under the same key, until it is not worth it', async () => {
  await ask(['works_later', 'never_works']);
  const calls: string[] = [];
  start(
    {
      call({ key, attempts }) {
        calls.push(key);
        if (key === 'works_later' && attempts >= 3) return Promise.resolve(done);
        return Promise.reject(new Error('not now'));
      },
    },
    { attemptsMax: 6, breaker: { failures: 1_000, openMs: 10 } },
  );
  await eventually('both are settled', async () => {
    const { done: succeeded, given_up: given } = await statuses();
    return succeeded === 1 && given === 1;
  });
  expect(calls.filter((key) => key === 'works_later')).toHaveLength(3);
  expect(calls.filter((key) => key === 'never_works')).toHaveLength(6);
  const [row] = await stack.owner`select last_error from effects where key = 'never_works'`;
  expect(row!['last_error']).toBe('not now');
});

test('no more are under way than the bulkhead holds, of one tenant half of it', async () => {
  for (const of of [tenant, other]) await ask(many(String(of), 40), of);
  const now = new Map<number, number>();
  const most = { ofAll: 0, ofOne: 0 };
  const count = (of: number, more: number): void => {
    now.set(of, (now.get(of) ?? 0) + more);
    const counts = [...now.values()];
    most.ofOne = Math.max(most.ofOne, ...counts);
    most.ofAll = Math.max(
      most.ofAll,
      counts.reduce((sum, each) => sum + each, 0),
    );
  };
  const { promise: full, resolve } = Promise.withResolvers<void>();
  start({
    async call({ tenant: of }) {
      count(of, 1);
      if (most.ofAll === options.concurrency) resolve();
      await full;
      await Bun.sleep(5);
      count(of, -1);
      return done;
    },
  });
  await eventually('all are done', async () => (await statuses())['done'] === 80);
  expect(most).toEqual({ ofAll: 4, ofOne: 2 });
});

test('a tenant whose calls hang leaves room for another', async () => {
  await ask(many('hangs', 40));
  await ask(['works'], other);
  const { promise, resolve } = Promise.withResolvers<typeof done>();
  start(
    { call: ({ tenant: of }) => (of === other ? Promise.resolve(done) : promise) },
    { timeoutMs: 30_000 },
  );
  await eventually('it is done', async () => (await statuses())['done'] === 1);
  resolve(done);
});

test('an open breaker makes no calls, and closes when the target is back', async () => {
  await ask(many('k', 30));
  const state = { down: true, calls: 0, refused: 0 };
  start(
    {
      call() {
        state.calls++;
        return state.down ? Promise.reject(new Error('down')) : Promise.resolve(done);
      },
      refused() {
        state.refused++;
        return null;
      },
    },
    { attemptsMax: 10_000 },
  );
  await eventually('the breaker has opened', () => state.refused > 10);
  expect(state.calls).toBeLessThan(20);
  state.down = false;
  await eventually('all are done', async () => (await statuses())['done'] === 30);
});

test('a call that hangs is unknown, and is made again', async () => {
  await ask(['hangs']);
  let calls = 0;
  start({ call: () => (++calls === 1 ? new Promise(() => {}) : Promise.resolve(done)) });
  await eventually('it is done', async () => (await statuses())['done'] === 1);
  expect(calls).toBe(2);
});

test('what a dead worker had claimed is due again, and its word counts no more', async () => {
  await ask(['taken']);
  const [dead] = await store.claim('test', 1, 50);
  expect(dead).toMatchObject({ key: 'taken', attempts: 1, tenant });
  expect(await store.claim('test', 1, 50)).toEqual([]);
  await Bun.sleep(60);
  const [next] = await store.claim('test', 1, 5_000);
  expect(next).toMatchObject({ key: 'taken', attempts: 2 });
  expect(await store.done(dead!)).toBe(false);
  expect(await store.done(next!)).toBe(true);
});

test('what others act on is written before it is told, and nobody is called again', async () => {
  await ask(['final']);
  let calls = 0;
  const final = { ...done, final: true } as const;
  start({ call: () => (calls++, Promise.resolve(final)) }, {}, dyingAfterReport());
  await eventually('it is done', async () => (await statuses())['done'] === 1);
  expect({ calls, reported }).toEqual({ calls: 1, reported: ['final/done', 'final/done'] });
});

test('who was away for longer than the claim decides nothing', async () => {
  await ask(['final']);
  const [late] = await store.claim('test', 1, 20);
  await Bun.sleep(30);
  const [holder] = await store.claim('test', 1, 5_000);
  expect(await store.remember(late!, { final: [] })).toBe(false);
  expect(await store.remember(holder!, { a: 1 })).toBe(true);
  expect(await store.remember(holder!, { b: 2 })).toBe(true);
  await store.again(holder!, 0, 'later');
  const [next] = await store.claim('test', 1, 5_000);
  expect(next!.memory).toEqual({ a: 1, b: 2 });
});

test('a claim that came too late is left to others', async () => {
  await ask(['late']);
  const calls: number[] = [];
  let isLate = true;
  const slow = async (...asked: Parameters<typeof store.claim>) => {
    const claimed = await store.claim(...asked);
    if (claimed.length > 0 && isLate) await Bun.sleep(150);
    if (claimed.length > 0) isLate = false;
    return claimed;
  };
  start(
    { call: ({ attempts }) => (calls.push(attempts), Promise.resolve(done)) },
    { settleMs: 150 },
    { store: { ...store, claim: slow } },
  );
  await eventually('it is done', async () => (await statuses())['done'] === 1);
  expect(calls).toHaveLength(1);
  expect(calls[0]).toBeGreaterThan(1);
});

test('an event that cannot be appended is appended soon, after the same call', async () => {
  await ask(['told_later']);
  const calls: number[] = [];
  let refusals = 2;
  start(
    { call: ({ attempts }) => (calls.push(attempts), Promise.resolve(done)) },
    {},
    {
      report: () =>
        refusals-- > 0 ? Promise.reject(new Error('Redis is away')) : Promise.resolve(),
    },
  );
  await eventually('it is done', async () => (await statuses())['done'] === 1);
  expect(calls).toEqual([1, 2, 3]);
});

describe('breakers', () => {
  test('a tenant whose calls fail is left alone, and nobody else', async () => {
    await ask(many('fails', 20));
    const made = { failing: 0, working: 0 };
    const lane = start(
      {
        call({ tenant: of }) {
          made[of === other ? 'working' : 'failing']++;
          return of === other ? Promise.resolve(done) : Promise.reject(new Error('its account'));
        },
      },
      { breaker: { failures: 3, openMs: 60_000 }, attemptsMax: 10_000 },
    );
    await eventually('each was tried or refused', async () => {
      const [row] = await stack.owner`select min(attempts) as least from effects`;
      return Number(row!['least']) > 0;
    });
    await ask(many('works', 50), other);
    lane.nudge();
    await eventually('all are done', async () => (await statuses())['done'] === 50);
    expect(made.working).toBe(50);
    // Each of the twenty would have been made by now.
    expect(made.failing).toBeLessThan(20);
    const [row] = await stack.owner`
      select sum(attempts)::int as n from effects where tenant_id = ${tenant}`;
    // Once it is left alone, what was tried before is not even claimed.
    expect(Number(row!['n'])).toBeLessThan(20 + 20);
  });
});
