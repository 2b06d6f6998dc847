// sql/calls.txt against the texts of sql/, by name; types are compared with a database, in
// test/operations/migrate.test.ts.
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { releaseAt } from '../../src/store/release.ts';

test('every function is listed that processes may call, and no other', () => {
  const { files, calls } = releaseAt(join(import.meta.dir, '../..'));
  const texts = files.map(({ text }) => text).join('\n');
  const created = [...texts.matchAll(/^\s*create (?:or replace )?function (\w+)/gim)];
  const names = new Set(created.map((found) => found[1]!));
  for (const name of names) if (/^(system_)?verify_/.test(name)) names.delete(name);
  const listed = new Set(calls.map((call) => call.slice(0, call.indexOf('('))));
  // One that only verbs call is listed too, unless its name says that it is for verify.
  expect([...names].filter((name) => !listed.has(name))).toEqual([]);
  expect([...listed].filter((name) => !names.has(name))).toEqual([]);
});
