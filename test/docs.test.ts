// The documents are true as far as a machine can tell: what they link to or name in backticks is
// there, verbs are verbs, settings are settings, decisions have a title and are listed.
// Invariant: a finding names the word; each check also meets a text that breaks it.
import { describe, expect, test } from 'bun:test';
import { Command } from 'commander';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { domains } from '../schemas/domains.ts';
import { verbs } from '../src/cli/index.ts';

const root = join(import.meta.dir, '..');
const folders = ['bench', 'consumers', 'docs', 'loadtests', 'schemas', 'sql', 'src', 'test'];
const pathForm = new RegExp(`^(${folders.join('|')}|toolchain)/[\\w./<>-]*$`);
const rootFileForm = /^[\w.-]*[A-Za-z]\.(md|json|toml|lock|example)$/;
const settingForm = /\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b|\b(PORT|HOST)\b/g;

interface Page {
  path: string;
  text: string;
}
type Check = (page: Page) => string[];

const program = new Command();
for (const add of verbs) add(program);
const verbNames = program.commands.map((command) => command.name());
const settings: readonly string[] =
  (await Bun.file(join(root, '.env.example')).text()).match(/^# \w+(?==)/gm) ?? [];

const fences = /^ *```[^]*?^ *```$/gm;
const prose = (text: string): string => text.replace(fences, '');
const code = (text: string): string[] => [
  ...[...prose(text).matchAll(/`([^`\n]+)`/g)].map((found) => found[1]!),
  ...(text.match(fences) ?? []),
];
const isThere = (path: string): boolean => existsSync(join(root, path));

const links: Check = ({ path, text }) =>
  [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((found) => found[1]!)
    .filter((target) => !/^(https?:|#)/.test(target))
    .filter((target) => !isThere(normalize(join(dirname(path), target.split('#')[0]!))));

/** `<domain>` stands for any of them: one is enough. Other placeholders cannot be looked up. */
const paths: Check = ({ text }) =>
  code(prose(text))
    .filter((word) => pathForm.test(word) || rootFileForm.test(word))
    .filter((word) => !word.replaceAll('<domain>', '').includes('<'))
    .filter((word) => !domains.some((domain) => isThere(word.replaceAll('<domain>', domain))));

const verbsOf: Check = ({ text }) =>
  code(text)
    .flatMap((part) => [...part.matchAll(/\btallyrace(?: --)? ([a-z][\w-]*)/g)])
    .map((found) => found[1]!)
    .filter((verb) => !verbNames.includes(verb));

const settingsOf: Check = ({ text }) =>
  code(text)
    .flatMap((part) => part.match(settingForm) ?? [])
    .filter((name) => !settings.includes(`# ${name}`));

const title: Check = ({ text }) => (/^# \S.{10,}\n\n\S/.test(text) ? [] : ['no title, or no body']);

const pages: Page[] = [];
for (const pattern of ['*.md', 'docs/**/*.md'])
  for await (const path of new Bun.Glob(pattern).scan({ cwd: root }))
    pages.push({ path, text: await Bun.file(join(root, path)).text() });
const decisions = pages.filter(({ path }) => path.startsWith('docs/decisions/'));

describe.each(pages)('$path', (page) => {
  test('links to files that are there', () => expect(links(page)).toEqual([]));
  test('names paths that are there', () => expect(paths(page)).toEqual([]));
  test('names verbs of the command', () => expect(verbsOf(page)).toEqual([]));
});

test('every setting that the README names is one', () => {
  expect(settingsOf(pages.find(({ path }) => path === 'README.md')!)).toEqual([]);
});

test('every decision has a title and is listed under it', async () => {
  const index = await Bun.file(join(root, 'docs/README.md')).text();
  expect(decisions.length).toBeGreaterThan(10);
  for (const decision of decisions) {
    expect([decision.path, ...title(decision)]).toEqual([decision.path]);
    const name = decision.text.slice(2, decision.text.indexOf('\n'));
    expect(index).toContain(`[${name}](${decision.path.replace('docs/', '')})`);
  }
});

test.each<[Check, string, string[]]>([
  [links, '[a](gone.md) [b](../README.md#x) [c](https://a.example)', ['gone.md']],
  [
    paths,
    '`src/gone.ts` `src/main.ts` `src/routes/<domain>.ts` `gone.toml`',
    ['src/gone.ts', 'gone.toml'],
  ],
  [paths, '`consumers/<domain>s.ts`', ['consumers/<domain>s.ts']],
  [verbsOf, '`tallyrace fly` and\n```\nnpm run tallyrace -- walk\n```\n', ['fly', 'walk']],
  [settingsOf, '`REDIS_URL=x` `NO_SUCH_SETTING` PORT', ['NO_SUCH_SETTING']],
  [title, 'No title', ['no title, or no body']],
])('the check %# finds what is wrong', (check, text, found) => {
  expect(check({ path: 'docs/a.md', text })).toEqual(found);
});
