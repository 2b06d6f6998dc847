// Keeps the house as ARCHITECTURE.md draws it: who imports whom, what is pure, how long things
// are. Each rule also meets a text that breaks it and one that does not, so that a rule which can
// no longer fail is found.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import {
  COLUMNS_MAX,
  FUNCTION_LINES_MAX,
  LINES_MAX,
  type Rule,
  columns,
  environment,
  fileLength,
  fileName,
  functionLength,
  houseFiles,
  importDirection,
  injectedTime,
  leftovers,
  looseTypes,
  opening,
  purity,
  scriptHeaders,
  skippedTests,
} from './tidy-rules.ts';

const files = await houseFiles(join(import.meta.dir, '..'));
const body = (lines: number, indent = ''): string => `${indent}  x();\n`.repeat(lines);

interface House {
  says: string;
  rule: Rule;
  /** [path, text]: at least one finding each. */
  breaks: [string, string][];
  /** [path, text]: no finding. */
  keeps: [string, string][];
}

const house: House[] = [
  {
    says: `a file has at most ${LINES_MAX} lines`,
    rule: fileLength,
    breaks: [['src/a.ts', 'x();\n'.repeat(LINES_MAX + 1)]],
    keeps: [['src/a.ts', 'x();\n'.repeat(LINES_MAX)]],
  },
  {
    says: `a line has at most ${COLUMNS_MAX} columns`,
    rule: columns,
    breaks: [['sql/queries/a.sql', '-'.repeat(COLUMNS_MAX + 1)]],
    keeps: [['src/a.ts', '-'.repeat(COLUMNS_MAX)]],
  },
  {
    says: `a function has at most ${FUNCTION_LINES_MAX} lines`,
    rule: functionLength,
    breaks: [
      ['src/a.ts', `export async function a(): Promise<void> {\n${body(59)}}\n`],
      ['src/a.ts', `class A {\n  private async run(a: number): Promise<void> {\n${body(60)}  }\n}`],
      ['src/a.ts', `const a = (b: string): void => {\n${body(60)}};\n`],
      ['src/a.ts', `function a(\n  b: string,\n): void {\n${body(60)}}\n`],
    ],
    keeps: [
      ['src/a.ts', `function a(): void {\n${body(58)}}\n\nfunction b(): void {\n${body(58)}}\n`],
      ['test/a.test.ts', `describe('a', () => {\n${body(80)}});\n`],
    ],
  },
  {
    says: 'a file name says what the file is',
    rule: fileName,
    breaks: [
      ['src/utils.ts', ''],
      ['src/io/string-helpers.ts', ''],
      ['test/common/a.ts', ''],
      ['src/order-service.ts', ''],
    ],
    keeps: [
      ['src/io/services.ts', ''],
      ['src/miscount.ts', ''],
    ],
  },
  {
    says: 'a file opens with its purpose',
    rule: opening,
    breaks: [
      ['src/a.ts', "import 'b';\n// late"],
      ['sql/queries/a.sql', 'select 1;'],
      ['src/a.ts', '#!/usr/bin/env bun\nrun();'],
    ],
    keeps: [
      ['src/a.ts', '// Why.\n'],
      ['src/a.ts', '#!/usr/bin/env bun\n// Why.'],
      ['src/cache/a.lua', '-- Why.'],
    ],
  },
  {
    says: 'nothing is left for later and no type error is silenced',
    rule: leftovers,
    // In two halves, so that this file keeps the rule.
    breaks: [
      ['TO', 'DO'],
      ['FIX', 'ME'],
      ['@ts-ig', 'nore'],
      ['@ts-expect-', 'error'],
    ].map((halves) => ['src/a.ts', `// ${halves.join('')}`]),
    keeps: [['src/a.ts', '// mastodon, ts']],
  },
  {
    says: 'every value has a type',
    rule: looseTypes,
    breaks: ['x as an-y;', 'let x: an-y;', 'Map<string, an-y>', 'a<an-y>()'].map((text) => [
      'src/a.ts',
      text.replace('-', ''),
    ]),
    keeps: [['src/a.ts', "let anyone: number; // as any reader knows\nconst a = 'any';"]],
  },
  {
    says: 'only entry points read the environment and make clients',
    rule: environment,
    breaks: [
      ['src/http/a.ts', 'const a = process.env.PORT;'],
      ['src/stream/a.ts', 'const a = new Redis(url);'],
      ['src/store/a.ts', "const a = connectPostgres(config.url, { max: 1, name: 'a' });"],
    ],
    keeps: [
      ['src/cli/a.ts', 'const a = process.env.PORT;'],
      ['consumers/main.ts', 'const a = producerClient(config.redisUrl);'],
      ['src/http/a.ts', '// process.env is read in config.ts'],
      ['test/a.ts', 'const a = process.env.PORT;'],
    ],
  },
  {
    says: 'the engine is given time and chance',
    rule: injectedTime,
    breaks: [
      ['src/stream/a.ts', 'const a = Date.now();'],
      ['src/stream/a.ts', 'const a = Math.random();'],
      ['src/stream/a.ts', 'const timer = setTimeout(run, 5);'],
    ],
    keeps: [
      ['src/stream/a.ts', 'const a = world.time.now();'],
      ['src/io/clock.ts', 'const a = Date.now();'],
    ],
  },
  {
    says: 'schemas, ledger and rules are pure',
    rule: purity,
    breaks: [
      ['schemas/a.ts', 'const a = Date.now();'],
      ['src/ledger/a.ts', 'const a = new Date();'],
      ['consumers/games.ts', 'const a = Math.random();'],
      ['consumers/games.ts', 'export async function decide() {}'],
      ['consumers/games.ts', 'fetch(url);'],
      ['consumers/games.ts', 'const a = process.env.A;'],
    ],
    keeps: [
      ['consumers/main.ts', 'await run();'],
      ['consumers/games.ts', 'const at = new Date(event.acceptedAt);'],
      ['src/io/clock.ts', 'const a = Date.now();'],
    ],
  },
  {
    says: 'no test is skipped without a reason, none runs alone',
    rule: skippedTests,
    breaks: [
      ['test/a.test.ts', "\ntest.skip('a', () => {});"],
      ['test/a.test.ts', "test.only('a', () => {});"],
      ['test/a.test.ts', "describe.skipIf(slow)('a', () => {});"],
    ],
    keeps: [
      ['test/a.test.ts', "// Needs user namespaces.\ntest.skipIf(!namespaces)('a', () => {});"],
      ['test/a.test.ts', "test('a', () => {});"],
    ],
  },
  {
    says: 'every SQL function and Lua script has a header',
    rule: scriptHeaders,
    breaks: [
      ['sql/queries/a.sql', '-- File.\nselect 1;\n\ncreate or replace function a() returns int'],
      ['src/cache/a.ts', "import x from 'x';\nconst A = `\nreturn redis.call('GET')\n`;"],
    ],
    keeps: [
      ['sql/queries/a.sql', '-- Takes: a.\ncreate function a() returns int'],
      ['sql/queries/a.sql', '-- Takes: a.\ndrop function if exists a;\ncreate function a()'],
      ['src/cache/a.ts', "/** Takes: a. */\nexport const A = `return redis.call('GET')`;"],
      ['src/cache/a.ts', 'const A = `plain text`;'],
    ],
  },
  {
    says: 'imports point down only',
    rule: importDirection,
    breaks: [
      ['schemas/a.ts', "import { a } from '../src/io/clock.ts';"],
      ['src/ledger/a.ts', "import type { A } from '../io/clock.ts';"],
      ['consumers/games.ts', "import { a } from './coupons.ts';"],
      ['consumers/games.ts', "import { a } from './coupons-uses.ts';"],
      ['consumers/games.ts', "import { a } from '../src/store/load.ts';"],
      ['src/routes/games.ts', "import { a } from '../../consumers/games.ts';"],
      ['src/stream/a.ts', "import { a } from '../../schemas/games.ts';"],
      ['src/store/a.ts', "import { a } from '../routes/games.ts';"],
      ['src/io/a.ts', "import { a } from '../http/problem.ts';"],
      ['src/app.ts', "const a = await import('./cli/up.ts');"],
    ],
    keeps: [
      ['consumers/games.ts', "import { a } from '../src/ledger/money.ts';"],
      ['consumers/games.ts', "import { a } from './games-shares.ts';"],
      ['src/ingress.ts', "import { a } from './app.ts';"],
      ['src/routes/games.ts', "import { Redis } from 'ioredis';"],
    ],
  },
];

for (const { says, rule, breaks, keeps } of house) {
  describe(says, () => {
    test('in every file', () => {
      const findings = files.flatMap((file) => rule(file).map((found) => `${file.path} ${found}`));
      expect(findings).toEqual([]);
    });

    test.each(breaks)('and is broken by %s', (path, text) => {
      expect(rule({ path, text })).not.toEqual([]);
    });

    test.each(keeps)('and is kept by %s', (path, text) => {
      expect(rule({ path, text })).toEqual([]);
    });
  });
}

test('the house is not empty', () => {
  const paths = files.map(({ path }) => path);
  for (const path of ['schemas/index.ts', 'src/stream/append.ts', 'src/ledger/decision.ts'])
    expect(paths).toContain(path);
});
