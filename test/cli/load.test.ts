// `tallyrace load` up to the point where k6 takes over: what it needs, and what it says when that
// is not there. Where k6 is installed, also one run from start to end.
import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../../loadtests/lib/report.ts';
import { watchServers } from '../../src/cli/load-usage.ts';
import { openStack } from '../stack.ts';

const ROOT = join(import.meta.dir, '../..');
const dir = mkdtempSync(join(tmpdir(), 'tallyrace-load-'));
afterAll(() => rmSync(dir, { recursive: true }));

function load(path: string, ...args: string[]) {
  return loadIn({ PATH: path, PORT: '9', TALLYRACE_HOME: join(dir, 'home') }, ...args);
}

async function loadIn(environment: Record<string, string>, ...args: string[]) {
  const child = Bun.spawn([process.execPath, join(ROOT, 'src/main.ts'), 'load', ...args], {
    env: { ...process.env, ...environment },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode: await child.exited, stdout, stderr };
}

/** A directory with a program named k6 that says it is this version. */
function pathWith(version: string): string {
  const path = join(dir, version);
  mkdirSync(path, { recursive: true });
  const script = `#!/bin/sh\necho "k6 ${version} (go1.26, linux/amd64)"\n`;
  writeFileSync(join(path, 'k6'), script, { mode: 0o755 });
  return path;
}

test('without k6 says how to get it, and starts nothing', async () => {
  const { exitCode, stdout, stderr } = await load(join(dir, 'empty'), 'smoke');
  expect(exitCode).toBe(69);
  expect(stderr).toContain('k6 is not on PATH');
  expect(stderr).toContain('go install go.k6.io/k6/v2@');
  expect(stderr).toContain('brew install k6');
  expect(stdout).toBe('');
});

test('refuses a k6 of another major version', async () => {
  const { exitCode, stderr } = await load(pathWith('v1.7.1'), 'smoke');
  expect(exitCode).toBe(69);
  expect(stderr).toContain('is v1.7.1; the scripts are written for k6 v2');
});

test.each([
  [['nothing'], 'Allowed choices are smoke, average, stress, spike, soak, breakpoint'],
  [['smoke', '--scale', 'much'], '--scale'],
  [['smoke', '--scale', '0'], '--scale'],
  [['smoke', '--duration', '90'], '--duration'],
  [['smoke', '--url', 'http://127.0.0.1:9'], '--url needs a key'],
])('%j is wrong usage, and says so', async (args, said) => {
  const { exitCode, stderr } = await load(pathWith('v2.0.0'), ...args);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(said)]);
});

// Only Linux tells about other processes.
test.skipIf(process.platform !== 'linux')(
  'counts what the processes of a home used, and not the supervisor',
  () => {
    const run = join(dir, 'run');
    mkdirSync(run);
    writeFileSync(join(run, 'me.pid'), `${process.pid}\n`);
    writeFileSync(join(run, 'supervisor.pid'), '1\n');
    const used = watchServers(run);
    Bun.spawnSync(['sh', '-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done']);
    const { me, ...others } = used();
    expect(others).toEqual({});
    expect(me!.cores).toBeGreaterThan(0);
    expect(me!.rssMb.peak).toBeGreaterThanOrEqual(me!.rssMb.last);
    expect(me!.rssMb.last).toBeGreaterThan(0);
  },
);

// It needs the real k6, which is no dependency of ours: whoever has it runs this too. How fast the
// answers were is not asserted.
test.skipIf(!Bun.which('k6'))(
  'loads what runs here, proves its books, reports, and ends its key',
  async () => {
    const stack = await openStack('load');
    const [ingress] = [await stack.startIngress(), await stack.startWorker()];
    const environment = { ...stack.environment, PORT: new URL(ingress.url).port };
    const { stdout } = await loadIn(environment, 'smoke', '--duration', '2s');
    const base = /reports: (\S+)\.\{/.exec(stdout)![1]!;
    const files = ['json', 'html', 'md'].map((ending) => `${base}.${ending}`);
    const [report, page, row] = files.map((file) => readFileSync(file, 'utf8'));
    for (const file of files) rmSync(file);
    const { failedShare, surroundings, verdicts } = JSON.parse(report!) as Report;
    expect([failedShare, surroundings!.verify]).toMatchObject([0, { ok: true, pending: 0 }]);
    expect(surroundings!.verify!.accepted).toBeGreaterThan(50);
    expect(surroundings!.generator.cores).toBeGreaterThan(0);
    expect(verdicts.find(({ metric }) => metric === 'checks')!.ok).toBe(true);
    expect([page!.slice(0, 15), row!.slice(0, 8)]).toEqual(['<!doctype html>', '| load |']);
    const keys = await stack.owner`
      select revoked_at from api_keys join tenants t on t.id = tenant_id where t.name = 'load'`;
    expect(keys.map((key) => key['revoked_at'] !== null)).toEqual([true]);
  },
  60_000,
);
