// Replacing a process: the old one ends only when the new one serves, or comes back when it cannot.
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeHome, type Home } from '../../src/supervisor/home.ts';
import { startOf } from '../../src/supervisor/identity.ts';
import { Keeper } from '../../src/supervisor/keeper.ts';
import type { Launch } from '../../src/supervisor/launch.ts';
import { eventually } from '../processes.ts';

let home: Home;
let keeper: Keeper;

/** Serves once it has written its number; ends at once where the file `broken` is. */
function plan(overlaps: boolean): Launch {
  const script = 'test -e broken && exit 3; echo $$ > serves; exec sleep 60';
  return {
    name: 'part',
    command: ['sh', '-c', script],
    cwd: home.root,
    overlaps,
    stopSignal: 'SIGTERM',
    stopWithinMs: 5_000,
    readyWithinMs: 10_000,
    async probe(pid) {
      if (served() !== pid) throw new Error('not yet');
    },
    explain: () => null,
  };
}

const served = (): number =>
  existsSync(join(home.root, 'serves'))
    ? Number(readFileSync(join(home.root, 'serves'), 'utf8'))
    : 0;
const pidNow = (): number => Number(readFileSync(join(home.run, 'part.pid'), 'utf8'));

beforeEach(() => {
  home = makeHome(mkdtempSync(join(tmpdir(), 'tallyrace-keeper-')));
});

afterEach(async () => {
  await keeper.stop();
  rmSync(home.root, { recursive: true, force: true });
});

test.each([true, false])(
  'is replaced by one that serves (beside the old one: %p)',
  async (both) => {
    keeper = new Keeper(plan(both), home, () => {});
    await keeper.start();
    const old = pidNow();
    await keeper.replace();
    expect(pidNow()).not.toBe(old);
    expect(pidNow()).toBe(served());
    expect(startOf(old)).toBeNull();
  },
);

test('the old one goes on when the new one beside it does not serve', async () => {
  keeper = new Keeper(plan(true), home, () => {});
  await keeper.start();
  const old = pidNow();
  writeFileSync(join(home.root, 'broken'), '');
  const failure = await keeper.replace().then(String, String);
  expect(failure).toContain('part did not start');
  expect(pidNow()).toBe(old);
  expect(startOf(old)).not.toBeNull();
});

test('where both cannot be, the new one is tried until it serves', async () => {
  const said: string[] = [];
  keeper = new Keeper(plan(false), home, (line) => said.push(line));
  await keeper.start();
  const old = pidNow();
  writeFileSync(join(home.root, 'broken'), '');
  expect(await keeper.replace().then(String, String)).toContain('part did not start');
  rmSync(join(home.root, 'broken'));
  await eventually('one that serves', () => served() !== old && startOf(served()) !== null);
  expect(said.join()).toContain('starting it again');
});

test('a replaced one that dies later is started again', async () => {
  keeper = new Keeper(plan(true), home, () => {});
  await keeper.start();
  await keeper.replace();
  const replaced = pidNow();
  process.kill(replaced, 'SIGKILL');
  await eventually('a new one', () => pidNow() !== replaced && startOf(pidNow()) !== null);
});
