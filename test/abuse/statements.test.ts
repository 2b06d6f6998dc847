// Statements and scripts are constants: what a caller sends travels beside them, as a parameter.
// Each rule is shown a text that breaks it; a statement that is put together is of words of ours.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { type SourceFile, houseFiles } from '../tidy-rules.ts';

type Rule = (file: SourceFile) => string[];

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[0].trim().split('\n')[0]!);
}

const isOurs = (path: string): boolean => /^(src|consumers|schemas)\//.test(path);

/** Where a statement is more than a constant, how often, and of what it is made. */
const assembled: Readonly<Record<string, readonly [number, string]>> = {
  'src/store/writer.ts': [1, 'names of side tables, which rules declare'],
  'src/store/load.ts': [1, 'names of the tables of records, which rules declare'],
  'src/gateways/sandbox/store.ts': [0, 'names and conditions of ours, in its own SQLite'],
  'src/store/migrate.ts': [7, 'files of ours, by the owner of the database'],
  'src/backup/ledger-copy.ts': [1, 'names of tables, as the catalogue of the database has them'],
  'src/backup/ledger-load.ts': [5, 'names of tables, as the backup has them, by the owner'],
};

const unsafe: Rule = ({ path, text }) => {
  const uses = found(text, /\.unsafe\([^\n]*/g);
  return uses.length === (assembled[path]?.[0] ?? 0) ? [] : uses;
};

/** postgres.js makes parameters of what stands in a template, but a name of what `sql()` makes. */
const identifiers: Rule = ({ path, text }) =>
  path === 'src/supervisor/postgres.ts' ? [] : found(text, /\$\{\s*\w*[sS]ql\(/g);

/** A template that is a statement and goes to nobody who makes parameters of it. */
const loose: Rule = ({ path, text }) =>
  path in assembled
    ? []
    : found(
        text,
        /(?<![\w>])`\s*(select|insert into|update|delete from|with|create (?!or ))\b[^`]*\$\{[^`]*`/gi,
      );

const scripts: Rule = ({ text }) => [
  ...found(text, /\.(eval|evalsha|eval_ro|fcall)\(/gi),
  ...found(text, /`[^`]*redis\.p?call[^`]*\$\{[^`]*`/g),
  ...found(text, /\b(load|loadstring|dofile)\s*\(.*(ARGV|KEYS)/g),
];

/** The supervisor asks one shell one constant question, with paths as its arguments. */
const shells: Rule = ({ path, text }) => [
  ...found(text, /\bshell: true/g),
  ...found(text, /\bexecSync\(/g),
  ...found(text, /(?<![\w.])eval\(|new Function\(/g),
  ...(path === 'src/supervisor/unprivileged.ts' ? [] : found(text, /['"](ba)?sh['"], \[?['"]-c/g)),
];

/** Inside the ingress and the worker nothing makes a request; the effects process calls gateways,
 * at addresses that are settings, and endpoints of tenants, at addresses that it has checked; the
 * sandbox answers with webhooks. */
const calling =
  /^src\/(cli|supervisor|gateways\/sandbox)\/|^src\/(gateways\/wire|effects\/webhook-call)\.ts$/;
const requests: Rule = ({ path, text }) =>
  calling.test(path) || path === 'src/http/loop-wait.ts'
    ? []
    : found(
        text,
        /(?<![\w.])fetch\(|Bun\.connect\(|\bnet\.connect\(|new WebSocket\(|Bun\.dns|'node:(https?|dns)\b/g,
      );

/** Dynamic SQL in the database: names as %I, texts as %L, tables as regclass. */
const dynamic: Rule = ({ text }) => {
  const statements = found(text.replace(/^\s*--.*$/gm, ''), /\bexecute\s+(?!on\b)[^;]*;/gi);
  return statements.filter((statement) => !/^execute format\(/i.test(statement));
};

const rules: readonly (readonly [string, RegExp, Rule, string])[] = [
  ['a statement is not put together', /\.ts$/, unsafe, 'sql.unsafe(`select ${code}`)'],
  ['a name in a statement is not computed', /\.ts$/, identifiers, 'sql`from ${sql(kind)}`'],
  ['no statement is a plain template', /\.ts$/, loose, 'run(`select * from ${kind}`)'],
  ['a script is a constant', /\.(ts|lua)$/, scripts, "redis.eval(`redis.call('GET', ${key})`)"],
  ['no shell and no code is made of text', /\.ts$/, shells, "spawn('sh', ['-c', text])"],
  ['nothing that serves makes a request', /\.ts$/, requests, 'await fetch(body.url)'],
  ['dynamic SQL quotes what it is made of', /\.sql$/, dynamic, "execute 'drop ' || name;"],
];

const files = await houseFiles(join(import.meta.dir, '../..'));

describe.each(rules)('%s', (_, kind, rule, broken) => {
  test('in every file', () => {
    const looked = files.filter(
      ({ path }) => kind.test(path) && (isOurs(path) || path.startsWith('sql/')),
    );
    expect(looked.length).toBeGreaterThan(10);
    const findings = looked.flatMap((file) => rule(file).map((each) => `${file.path}: ${each}`));
    expect(findings).toEqual([]);
  });

  test('and a text that breaks it is seen', () => {
    expect(rule({ path: 'src/http/a.ts', text: broken })).not.toEqual([]);
  });
});
