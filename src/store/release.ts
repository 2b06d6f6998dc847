// What a release brings to the database: migrations, functions, and what its processes call.
// Invariant: a process goes by the files that it was started with.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dir, '../..');

export class MigrationError extends Error {}

export interface SqlFile {
  /** `migrations/0001_engine.sql`, `queries/ledger.sql`. */
  name: string;
  text: string;
  checksum: string;
}

/** What a release brings: its number, the files of sql/, and the functions its processes call. */
export interface Release {
  version: string;
  files: readonly SqlFile[];
  /** Each as `signaturesOf` gives it. */
  calls: readonly string[];
}

let own: Release | null = null;

/** As it was when this process first asked: the files of a later release may lie there by now. */
export function ownRelease(): Release {
  own ??= releaseAt(ROOT);
  return own;
}

export function releaseAt(root: string): Release {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as Release;
  const calls = readFileSync(`${root}/sql/calls.txt`, 'utf8').split('\n');
  return {
    version,
    files: sqlFiles(`${root}/sql`),
    calls: calls.filter((line) => line !== '' && !line.startsWith('#')),
  };
}

/** Migrations first, by number; then queries, by name. */
function sqlFiles(root: string): SqlFile[] {
  return ['migrations', 'queries'].flatMap((folder) =>
    readdirSync(`${root}/${folder}`)
      .filter((file) => file.endsWith('.sql'))
      .toSorted()
      .map((file) => {
        if (folder === 'migrations' && !/^\d{4}_[a-z0-9_]+\.sql$/.test(file))
          throw new MigrationError(`sql/migrations/${file}: the name must be like 0001_word.sql`);
        const text = readFileSync(`${root}/${folder}/${file}`, 'utf8');
        const checksum = createHash('sha256').update(text).digest('hex');
        return { name: `${folder}/${file}`, text, checksum };
      }),
  );
}
