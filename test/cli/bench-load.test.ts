// The generator as a user has it: `tallyrace bench load` against an installation that runs.
import { expect, test } from 'bun:test';
import { openStack } from '../stack.ts';

const stack = await openStack('bench-load', async (opened) => {
  const { key } = await opened.createTenant('loaded');
  await opened.startWorker();
  return { key, url: (await opened.startIngress()).url };
});
const { key, url } = stack;

function load(...args: string[]) {
  const warm = ['--warm-up', '0.1', '--seconds', '1', '--connections', '8'];
  return stack.run('bench', 'load', '--url', url, ...warm, ...args);
}

interface Verdict {
  accepted: number;
  duplicates: number;
}

/** Its exit code says that the books are in order. */
async function verify(): Promise<Verdict> {
  const { exitCode, stdout } = await stack.run('verify', '--json');
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as Verdict;
}

test('sends events by a timetable, each with an id of its own, run after run', async () => {
  let answered = 0;
  for (const _run of [1, 2]) {
    const { stdout } = await load('--key', key, '--rate', '400', '--batch', '4');
    expect(stdout).toContain('of 400 asked for');
    answered += Number(/^answers: 202: (\d+)$/m.exec(stdout)?.[1]);
  }
  const { accepted, duplicates } = await verify();
  expect(answered).toBeGreaterThan(0);
  expect(accepted).toBeGreaterThanOrEqual(answered * 4);
  expect(duplicates).toBe(0);
}, 60_000);

test('a mix asks for checks, events, redemptions and balances', async () => {
  const before = (await verify()).accepted;
  // Redemptions of codes that nobody made are refused, and say so.
  const { exitCode, stdout } = await load('--key', key, '--rate', '200', '--workload', 'mixed');
  expect(exitCode).toBe(1);
  expect(stdout).toMatch(/answers: 200: \d+, 202: \d+, 409: \d+\n/);
  expect((await verify()).accepted).toBeGreaterThan(before);
}, 60_000);

test('exits 1 and says why when answers are refusals', async () => {
  const { exitCode, stdout } = await load('--key', 'tr_test_of_nobody', '--rate', '50');
  expect(exitCode).toBe(1);
  expect(stdout).toMatch(/doubtful: \d+ answers with status 401/);
}, 60_000);
