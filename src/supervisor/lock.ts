// One supervisor a home. The lock is SQLite's: the kernel lets go of it when the process dies,
// however it dies, so there is no stale lock to be judged.
import { Database } from 'bun:sqlite';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Home } from './home.ts';
import { Unavailable } from './launch.ts';

export interface Lock {
  release(): void;
}

const note = (home: Home): string => join(home.run, 'supervisor.pid');

/** Null when another process has it. */
function tryLock(home: Home): Database | null {
  const database = new Database(join(home.run, 'lock'), { create: true });
  try {
    database.exec('begin exclusive');
    return database;
  } catch (error) {
    database.close();
    if (!(error instanceof Error) || !/locked|busy/i.test(error.message)) throw error;
    return null;
  }
}

/** The supervisor of this home; null when none runs. */
export function holderOf(home: Home): number | null {
  if (!existsSync(join(home.run, 'lock'))) return null;
  const database = tryLock(home);
  database?.close();
  return database || !existsSync(note(home)) ? null : Number(readFileSync(note(home), 'utf8'));
}

export function lockHome(home: Home): Lock {
  const database = tryLock(home);
  if (!database) {
    // The holder may not have written its number yet.
    const holder = existsSync(note(home))
      ? readFileSync(note(home), 'utf8').trim()
      : 'just starting';
    throw new Unavailable(
      `Tallyrace already runs in ${home.root} (process ${holder}). ` +
        'Stop it first, or start this one with another --home and --port.',
    );
  }
  writeFileSync(note(home), `${process.pid}\n`);
  return { release: () => database.close() };
}
