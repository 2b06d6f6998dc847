// A rolling restart under load: callers that keep to HTTP see no failed request, those who wait
// for the ledger are answered, and every event that was answered 202 is in the ledger once.
import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { settledReport } from '../ledger-proof.ts';
import { openServices } from '../services.ts';
import { Supervised } from '../supervisor/supervised.ts';
import { type Call, Caller, sumOf } from './http-caller.ts';

const names = ['worker', 'worker-2', 'ingress', 'ingress-2'] as const;

const home = mkdtempSync(join(tmpdir(), 'tallyrace-rolling-'));
const port = await findFreePort();
const stack = await openServices('rolling');
const environment = { ...stack.environment, QUEUE_WAIT_MS_MAX: '3600000' };
const up = new Supervised(home, port, ['--ingress', '2', '--workers', '2'], environment);
afterAll(async () => {
  up.send('SIGINT');
  await up.exited;
  await stack.close();
  rmSync(home, { recursive: true, force: true });
}, 60_000);
await up.ready();

const answered = new Set<string>();
let sent = 0;

function event(headers: Record<string, string>): Call {
  const id = `rolling_${sent++}`;
  const amount = { amount: 1, currency: 'USD' };
  const data = { user_id: `r_${sent % 50}`, kind: 'test', amount, reference: id };
  return {
    path: '/v1/events',
    headers: { Authorization: `Bearer ${up.key}`, ...headers },
    body: JSON.stringify({ id, type: 'earning.credited', data }),
  };
}

function caller(headers: Record<string, string> = {}): Caller {
  return new Caller({
    port,
    keepAlive: true,
    answerWithinMs: 8_000,
    next: () => event(headers),
    onAnswer: ({ body }, status) => {
      if (status === 202) answered.add((JSON.parse(body) as { id: string }).id);
    },
  });
}

test('no request fails while every process is replaced', async () => {
  const callers = Array.from({ length: 6 }, () => caller());
  const waiting = [caller({ Prefer: 'wait=ledger' }), caller({ Prefer: 'wait=ledger' })];
  let stopped = false;
  const load = Promise.all([...callers, ...waiting].map((each) => each.run(() => stopped)));
  const before = names.map((name) => up.pid(name));
  const done = { exitCode: 0, output: 'every process was replaced\n' };
  expect(await up.run('restart')).toEqual(done);
  stopped = true;
  await load;

  const tallies = [...callers, ...waiting].map(({ tally }) => tally);
  expect(sumOf(tallies).failed).toEqual({});
  // Each had a connection to an ingress that ended, and was told to leave it.
  for (const { answered: count, connections } of tallies) {
    expect(count).toBeGreaterThan(0);
    expect(connections).toBeGreaterThan(1);
  }
  names.forEach((name, index) => expect(up.pid(name)).not.toBe(before[index]!));
}, 120_000);

test('what was answered 202 is in the ledger, once', async () => {
  await settledReport(stack);
  const rows = await stack.owner<{ event_id: string }[]>`
    select event_id from outcomes where event_id like 'rolling_%' and verdict = 1`;
  const posted = new Set(rows.map(({ event_id: id }) => id));
  expect([...answered].filter((id) => !posted.has(id))).toEqual([]);
  const { exitCode, stdout } = await stack.run('verify');
  expect([exitCode, stdout.split('\n').at(-2)]).toEqual([0, 'everything holds']);
});
