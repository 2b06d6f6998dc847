// Secrets made here and kept in a file that only its owner reads.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** The secret in the file, made on the first call. Letters that a URL needs not escape. */
export function secretIn(file: string, bytes = 24): string {
  if (!existsSync(file)) writeSecret(file, randomBytes(bytes).toString('base64url'));
  return readFileSync(file, 'utf8').trim();
}

/** Written aside and renamed: a reader sees the old secret or the new one, never half of it. */
export function writeSecret(file: string, secret: string): void {
  const aside = `${file}.${process.pid}`;
  writeFileSync(aside, `${secret}\n`, { mode: 0o600 });
  renameSync(aside, file);
}
