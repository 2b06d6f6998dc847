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

export function lockHome(home: Home): Lock {
  const database = new Database(join(home.run, 'lock'), { create: true });
  const note = join(home.run, 'supervisor.pid');
  try {
    database.exec('begin exclusive');
  } catch (error) {
    database.close();
    if (!(error instanceof Error) || !/locked|busy/i.test(error.message)) throw error;
    // The holder may not have written its number yet.
    const holder = existsSync(note) ? readFileSync(note, 'utf8').trim() : 'just starting';
    throw new Unavailable(
      `Tallyrace already runs in ${home.root} (process ${holder}). ` +
        'Stop it first, or start this one with another --home and --port.',
    );
  }
  writeFileSync(note, `${process.pid}\n`);
  return { release: () => database.close() };
}
