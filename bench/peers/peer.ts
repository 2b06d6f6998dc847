// What the comparison asks of a ledger: to start on an empty Postgres of its own, to take the same
// work over HTTP, and to say how many entries are in its books.
// Invariant: every Postgres has the same settings, fsync and synchronous_commit on among them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../src/supervisor/postgres.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import type { Dialect } from './work.ts';

export const USERS = 100_000;

export interface Way {
  name: string;
  /** Events in one request. */
  batch: number;
  /** What served best with a hot account and without one: see docs/peers.md. */
  connections: { hot: number; spread: number };
  dialect: Dialect;
  /**
   * Where answers come before the commit: the share of the time that is spent sending. The rest
   * goes into catching up, and the rate is counted until the last entry is in the books.
   */
  burstShare?: number;
}

export interface Peer {
  name: string;
  version: string;
  ways: Way[];
  start(): Promise<Running>;
}

export interface Running {
  url: string;
  apiKey?: string;
  /** Pids by name of everything that works for this ledger. */
  pids: Record<string, number>;
  entries(): Promise<number>;
  /** So that nobody's statements are planned for tables that were empty a moment ago. */
  analyze(): Promise<unknown>;
  /** Resolves when everything that was accepted is in the books. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface Database {
  url: string;
  pid: number;
  close(): Promise<void>;
}

export async function emptyDatabase(): Promise<Database> {
  const home = mkdtempSync(join(tmpdir(), 'tallyrace-peer-'));
  const port = await findFreePort();
  const server = await startPostgres({ dir: join(home, 'pg'), port, log: join(home, 'pg.log') });
  const close = async (): Promise<void> => {
    await server.stop();
    rmSync(home, { recursive: true, force: true });
  };
  return { url: server.url, pid: server.pid, close };
}

/** A server that prints its port when it listens. */
export async function launch(command: string[], env: Record<string, string>) {
  const child = Bun.spawn(command, {
    env: { ...process.env, NODE_ENV: 'production', ...env },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const { value } = await child.stdout.getReader().read();
  if (!value) throw new Error(`${command[0]} ended with ${await child.exited}`);
  const url = `http://127.0.0.1:${new TextDecoder().decode(value).trim()}`;
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await child.exited;
  };
  return { pid: child.pid, url, stop };
}
