// docs/durability.md promises only what a test shows: every sentence of a list names one, by file
// and title, and it is there.
import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const docs = join(import.meta.dir, '../../docs');

/** List items without a test, and tests that are not there. */
function unshown(page: string): string[] {
  const items = page.split(/^- /m).slice(1);
  return items.flatMap((item) => {
    const text = item.split(/\n(?=\S)/)[0]!;
    const named = [...text.matchAll(/\]\((\S+) '([^']+)'\)/g)];
    if (named.length === 0) return [text];
    return named.flatMap(([, path, title]) => (isTest(join(docs, path!), title!) ? [] : [title!]));
  });
}

function isTest(path: string, title: string): boolean {
  return existsSync(path) && readFileSync(path, 'utf8').includes(`'${title}'`);
}

test('every promise of docs/durability.md names a test that is there', () => {
  const page = readFileSync(join(docs, 'durability.md'), 'utf8');
  expect(page.split(/^- /m).length).toBeGreaterThan(25);
  expect(unshown(page)).toEqual([]);
});

test.each([
  ['- A promise.\n', 'A promise.\n'],
  [`- A promise.\n  [shown](../test/crash/kill.test.ts 'no such test')\n`, 'no such test'],
  [`- A promise.\n  [shown](../test/gone.test.ts 'gone')\n`, 'gone'],
])('the check finds what is wrong: %j', (page, found) => {
  expect(unshown(page)).toEqual([found]);
});
