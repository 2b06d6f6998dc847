// `tallyrace up` as a user runs it, in a directory of its own, for tests that kill what it started.
import { afterAll } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { eventually } from '../processes.ts';
import { ROOT } from '../services.ts';

export type Part = 'ingress' | 'worker' | 'redis' | 'postgres';

export interface Supervised {
  url: string;
  key: string;
  home: string;
  owner: Sql;
  pidOf(part: Part): number;
  run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
}

const UP_WITHIN_MS = 60_000;

export async function startSupervised(): Promise<Supervised> {
  const home = mkdtempSync(join(tmpdir(), 'tallyrace-crash-'));
  const env = {
    ...process.env,
    PORT: String(await findFreePort()),
    TALLYRACE_HOME: home,
    LOG_LEVEL: 'warn',
  };
  const main = [process.execPath, join(ROOT, 'src/main.ts')];
  const log = Bun.file(join(home, 'up.log'));
  const up = Bun.spawn([...main, 'up'], { env, stdin: 'ignore', stdout: log, stderr: log });
  const connections: Sql[] = [];
  const stop = async (): Promise<void> => {
    for (const sql of connections) await sql.end({ timeout: 1 }).catch(() => {});
    up.kill('SIGINT');
    const ended = await Promise.race([up.exited, Bun.sleep(60_000)]);
    if (ended === undefined) up.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  };
  afterAll(stop, 90_000);
  const url = `http://127.0.0.1:${env.PORT}`;
  try {
    await eventually('the stack is up', () => isReady(url, up.exitCode), UP_WITHIN_MS);
    const databaseUrl = databaseUrlOf(home);
    const owner = connectPostgres(databaseUrl, { max: 1, name: 'crash test', asOwner: true });
    connections.push(owner);
    return {
      url,
      key: readFileSync(join(home, 'demo-key'), 'utf8').trim(),
      home,
      owner,
      pidOf: (part) => Number(readFileSync(join(home, 'run', `${part}.pid`), 'utf8')),
      run: (...args) => runVerb([...main, ...args], env),
    };
  } catch (error) {
    const printed = await log.text().catch(() => '');
    await stop();
    throw new Error(`the stack did not come up: ${printed}`, { cause: error });
  }
}

async function isReady(url: string, exitCode: number | null): Promise<boolean> {
  if (exitCode !== null) return true;
  return (await fetch(`${url}/readyz`)).ok;
}

/** What the supervisor keeps about its own server: port and password. */
function databaseUrlOf(home: string): string {
  const ports = JSON.parse(readFileSync(join(home, 'ports.json'), 'utf8')) as { postgres: number };
  const password = readFileSync(join(home, 'postgres', 'password'), 'utf8').trim();
  return `postgres://tallyrace:${password}@127.0.0.1:${ports.postgres}/tallyrace`;
}

async function runVerb(command: string[], env: Record<string, string | undefined>) {
  const child = Bun.spawn(command, { env, stdout: 'pipe', stderr: 'pipe' });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
