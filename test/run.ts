// The gate: format, lint, types, tests, in that order of price; every step runs, also after a
// failure. `--fast` leaves out what needs Redis and Postgres. `--ci` is for unattended runs.
// Invariant: exits 0 only when every step passed and at least one test ran; the last line counts.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../src/supervisor/ports.ts';
import { startPostgres } from '../src/supervisor/postgres.ts';

interface Step {
  name: string;
  args: string[];
}

interface Result {
  name: string;
  ok: boolean;
  seconds: number;
  output: string;
}

const root = join(import.meta.dir, '..');
const known = ['--fast', '--ci'];
const given = process.argv.slice(2);
const unknown = given.filter((arg) => arg.startsWith('-') && !known.includes(arg));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(' ')}; there are ${known.join(' and ')}, and file names`);
  process.exit(2);
}
process.exit(await gate());

async function gate(): Promise<number> {
  const results: Result[] = [];
  for (const step of checks()) results.push(await run(step));
  const shared = given.includes('--fast') ? null : await sharedPostgres();
  results.push(await run(tests(), shared?.env).finally(() => shared?.stop()));
  const tested = results.at(-1)!.output;
  const passed = counted(tested, 'pass');
  const failedSteps = results.slice(0, -1).filter(({ ok }) => !ok).length;
  const crashed = !results.at(-1)!.ok && counted(tested, 'fail') + counted(tested, 'error') === 0;
  const failed =
    counted(tested, 'fail') + counted(tested, 'error') + failedSteps + (crashed ? 1 : 0);
  console.log();
  for (const { name, ok, seconds } of results)
    console.log(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(8)} ${seconds.toFixed(1)} s`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** `--no-script`: ours would start this file again. */
function checks(): Step[] {
  return [
    { name: 'format', args: ['fmt', '--no-script', '--check'] },
    { name: 'lint', args: ['x', 'oxlint', '--type-aware', '--deny-warnings'] },
    { name: 'types', args: ['check', '--no-script'] },
  ];
}

function tests(): Step {
  const alone = ['contract', 'docs', 'tidy'].map((name) => `./test/${name}.test.ts`);
  const fast = ['./test/pure', './test/domains', ...alone];
  const named = given.filter((arg) => !arg.startsWith('-'));
  const files = named.length > 0 ? named : given.includes('--fast') ? fast : [];
  // Two files at a time: most of them wait for servers more than they work.
  return { name: 'tests', args: ['test', '--parallel=2', '--timeout=60000', ...files] };
}

/** One server for all files, each with a database of its own: an initdb a file would take longer. */
async function sharedPostgres() {
  const home = mkdtempSync(join(tmpdir(), 'tallyrace-test-'));
  const [port, log] = [await findFreePort(), join(home, 'postgres.log')];
  const server = await startPostgres({ dir: join(home, 'postgres'), port, log });
  return {
    env: { TALLYRACE_TEST_POSTGRES: server.url },
    async stop() {
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function run({ name, args }: Step, more: Record<string, string> = {}): Promise<Result> {
  console.log(`\n── ${name}`);
  const startedAt = performance.now();
  const env = { ...process.env, ...(given.includes('--ci') ? { CI: 'true' } : {}), ...more };
  const child = spawn(process.execPath, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      process.stdout.write(chunk);
    });
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      const seconds = (performance.now() - startedAt) / 1_000;
      resolve({ name, ok: code === 0, seconds, output });
    });
  });
}

/** From the summary of bun test, ` 12 pass`; colours do not get here, since this is no terminal. */
function counted(output: string, word: string): number {
  const found = [...output.matchAll(new RegExp(`^ *(\\d+) ${word}s?$`, 'gm'))].at(-1);
  return Number(found?.[1] ?? 0);
}
