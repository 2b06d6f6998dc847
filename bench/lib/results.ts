// Where results go: each run has a folder of its own in bench/results, named by time and commit,
// with a JSON file for each bench. Invariant: no run writes over another.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine } from './machine.ts';

/** The folder of this run, made when first asked for. */
export function resultsFolder(): string {
  opened ??= openFolder();
  return opened;
}

let opened: string | null = null;

function openFolder(): string {
  const { at, commit } = describeMachine();
  const folder = join(
    import.meta.dir,
    '../results',
    `${at.slice(0, 19).replaceAll(/[:T]/g, '-')}-${commit}-${process.pid}`,
  );
  mkdirSync(folder, { recursive: true });
  return folder;
}

export async function saveJson(name: string, value: object): Promise<string> {
  return saveText(`${name}.json`, `${JSON.stringify(value, null, 2)}\n`);
}

export async function saveText(name: string, text: string): Promise<string> {
  const file = join(resultsFolder(), name);
  await Bun.write(file, text);
  return file;
}
