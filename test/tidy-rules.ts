// The rules of the house as functions from a file to its findings, so that tidy.test.ts can show
// for each of them a text that breaks it. They read text, not syntax trees: our code is formatted,
// so a function ends at the first line that closes at its own indentation.
// Invariant: a rule is pure; only `houseFiles` touches the disk.
import { dirname, join, normalize } from 'node:path';

export interface SourceFile {
  /** Relative to the root of the repository, with forward slashes. */
  path: string;
  text: string;
}

export type Rule = (file: SourceFile) => string[];

const folders = '{bench,consumers,loadtests,schemas,sql,src,test,toolchain}';

export async function houseFiles(root: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const glob = new Bun.Glob(`${folders}/**/*.{ts,tsx,mjs,sql,lua}`);
  for await (const path of glob.scan({ cwd: root })) {
    if (path.includes('node_modules/') || path.includes('/results/')) continue;
    files.push({ path, text: await Bun.file(join(root, path)).text() });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const isTypeScript = (path: string): boolean => path.endsWith('.ts') || path.endsWith('.tsx');
const isTest = (path: string): boolean => path.startsWith('test/');
const lineNumber = (text: string, index: number): number => text.slice(0, index).split('\n').length;

/** Lines without their comments, numbering kept. Formatted code has no other places for them. */
function codeLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => (/^\s*(\/\/|\/\*|\*)/.test(line) ? '' : line.replace(/\s\/\/ .*$/, '')));
}

function matches(text: string, banned: readonly (readonly [RegExp, string])[]): string[] {
  return codeLines(text).flatMap((line, index) =>
    banned.flatMap(([pattern, name]) => (pattern.test(line) ? [`line ${index + 1}: ${name}`] : [])),
  );
}

export const LINES_MAX = 300;
export const FUNCTION_LINES_MAX = 60;
export const COLUMNS_MAX = 100;

export const fileLength: Rule = ({ text }) => {
  const lines = text.trimEnd().split('\n').length;
  return lines > LINES_MAX ? [`${lines} lines, at most ${LINES_MAX}`] : [];
};

/** One long literal, such as a pattern or an address, has no place to break. */
const isLiteral = /^\s*(\w+: )?(['`/]).*\2[),;\w]*$/;

export const columns: Rule = ({ text }) =>
  text
    .split('\n')
    .flatMap((line, index) =>
      line.length > COLUMNS_MAX && !isLiteral.test(line)
        ? [`line ${index + 1}: ${line.length} columns`]
        : [],
    );

const opensFunction = [
  /^\s*(export )?(default )?(async )?function\b.*\{$/,
  /=> \{$/,
  /^\s*\)(: .+)? (=> )?\{$/,
  /^\s+(?!(?:if|for|while|switch|catch|else|do|try|return|await)\b)[\w\s]*[\w#]+(<.*>)?\(.*\).*\{$/,
];

/** Suites are lists of tests, not functions to be understood at once. */
const isSuite = /^\s*describe[.\w]*\(/;

export const functionLength: Rule = ({ path, text }) => {
  if (!isTypeScript(path) && !path.endsWith('.mjs')) return [];
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    if (isSuite.test(line) || !opensFunction.some((pattern) => pattern.test(line))) return [];
    const closing = `${/^\s*/.exec(line)![0]}}`;
    const length = lines.slice(index + 1).findIndex((later) => later.startsWith(closing)) + 2;
    return length > FUNCTION_LINES_MAX ? [`line ${index + 1}: a function of ${length} lines`] : [];
  });
};

const bannedName = /(^|[/.-])(utils?|helpers?|common|manager|service|misc)([/.-]|$)/;

export const fileName: Rule = ({ path }) =>
  bannedName.test(path) ? ['a name that says nothing'] : [];

export const opening: Rule = ({ path, text }) => {
  const lines = text.split('\n');
  const first = lines[0]!.startsWith('#!') ? lines[1] : lines[0];
  const comment = isTypeScript(path) || path.endsWith('.mjs') ? /^(\/\/|\/\*)/ : /^--/;
  return comment.test(first ?? '') ? [] : ['does not open with a comment on its purpose'];
};

// Written with a one-letter class, so that this file does not break its own rules.
export const leftovers: Rule = ({ text }) =>
  [/\bTO[D]O\b/, /\bFIX[M]E\b/, /@ts-(ignor[e]|nochec[k]|expect-erro[r])/].flatMap((pattern) => {
    const found = pattern.exec(text);
    return found ? [`line ${lineNumber(text, found.index)}: ${found[0]}`] : [];
  });

export const looseTypes: Rule = ({ path, text }) =>
  isTypeScript(path)
    ? matches(text, [[/(\bas|:|<|,|\|)\s*an[y]\b(?!\w)/, 'an untyped value']])
    : [];

/** Only the process's entry points meet the environment or make clients; parts are given theirs. */
const mains =
  /^(src\/(main|ingress|config|effects\/main)\.ts|src\/(cli|supervisor)\/.*|consumers\/main\.ts)$/;
const isMain = (path: string): boolean => mains.test(path);

export const environment: Rule = ({ path, text }) => {
  if (!/^(src|consumers|schemas)\//.test(path) || isMain(path)) return [];
  const clients = /\b(connectPostgres|producerClient|blockingClient|subscriberClient)\((?!url)/;
  return matches(text, [
    [/\b(process|Bun|import\.meta)\.env\b/, 'reads the environment'],
    ...(path.startsWith('src/io/')
      ? []
      : ([
          [clients, 'makes a client'],
          [/\bnew Redis\(/, 'makes a client'],
        ] as const)),
  ]);
};

const isPure = (path: string): boolean =>
  /^(schemas|src\/ledger)\//.test(path) || /^consumers\/(?!main\.ts)/.test(path);

export const purity: Rule = ({ path, text }) => {
  if (!isPure(path)) return [];
  return matches(text, [
    [/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/, 'looks at the clock'],
    [/\bMath\.random\b|\brandomUUID|\bcrypto\.|\bgetRandomValues\b/, 'draws a random value'],
    [/\basync\b|\bawait\b|\bPromise\b/, 'is asynchronous'],
    [/\bfetch\(|\bBun\.(?!SHA256|hash)|\bprocess\.|\bsetTimeout\b/, 'reaches outside'],
  ]);
};

/** The simulator decides what time it is and what chance brings, so the engine is given both. */
export const injectedTime: Rule = ({ path, text }) =>
  path.startsWith('src/stream/')
    ? matches(text, [
        [/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/, 'looks at the clock'],
        [/\bMath\.random\b|\brandomUUID|\bgetRandomValues\b/, 'draws a random value'],
        [/\bsetTimeout\b|\bsetInterval\b|\bBun\.sleep\b/, 'waits by itself'],
      ])
    : [];

export const skippedTests: Rule = ({ path, text }) => {
  if (!isTest(path)) return [];
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const found = /^\s*(?:test|describe|it)\.(only|tod[o]|skip|skipIf|if)\(/.exec(line);
    if (!found) return [];
    if (found[1] === 'only' || found[1]!.startsWith('tod'))
      return [`line ${index + 1}: .${found[1]}`];
    const reason = /^\s*(\/\/|\*)/.test(lines[index - 1] ?? '');
    return reason ? [] : [`line ${index + 1}: skipped without a reason above it`];
  });
};

/** Statements and scripts run far from their callers: each says what it takes, gives and locks. */
export const scriptHeaders: Rule = ({ path, text }) => {
  const undocumented = (pattern: RegExp, comment: RegExp): string[] =>
    [...text.matchAll(pattern)].flatMap((found) => {
      const before = text.slice(0, found.index).trimEnd().split('\n').at(-1) ?? '';
      return comment.test(before)
        ? []
        : [`line ${lineNumber(text, found.index)}: a script without a header`];
    });
  if (path.startsWith('sql/queries/'))
    return undocumented(
      /^(?:drop function [^;]*;\s*)*create (?:or replace )?(?:function|procedure) /gim,
      /^--/,
    );
  if (!isTypeScript(path) || isTest(path)) return [];
  return undocumented(
    /^(?:export )?const \w+ = (?:\/\* lua \*\/ )?`(?=[^`]*redis\.call)/gm,
    /\*\/$|^\/\//,
  );
};

type Layer = { match: RegExp; mayImport: RegExp };

/** Who may import whom, by path; the first match decides. Arrows point down only. */
const layers: readonly Layer[] = [
  { match: /^schemas\//, mayImport: /^schemas\// },
  { match: /^src\/ledger\//, mayImport: /^(schemas|src\/ledger)\// },
  { match: /^consumers\/main\.ts$/, mayImport: /^(schemas|consumers|src)\// },
  { match: /^consumers\/index\.ts$/, mayImport: /^(schemas|src\/ledger|consumers)\// },
  { match: /^consumers\//, mayImport: /^(schemas|src\/ledger)\// },
  { match: /^src\/io\//, mayImport: /^(schemas|src\/io)\// },
  {
    match: /^src\/stream\//,
    mayImport: /^(schemas\/(events|index|primitives)\.ts$|src\/(stream|store|cache|io|ledger)\/)/,
  },
  { match: /^src\/(store|cache)\//, mayImport: /^(schemas|src\/(stream|store|cache|io|ledger))\// },
  { match: /^src\/http\//, mayImport: /^(schemas|src\/(http|stream|store|cache|io|ledger))\// },
  {
    match: /^src\/routes\//,
    mayImport: /^(schemas|src\/(routes|http|stream|store|cache|io|ledger))\//,
  },
  { match: /^src\/effects\/main\.ts$/, mayImport: /^(schemas|src)\// },
  {
    match: /^src\/(effects|gateways)\//,
    mayImport: /^(schemas|src\/(effects|gateways|stream|store|cache|io|ledger))\//,
  },
  {
    match: /^src\/risk\//,
    mayImport: /^(schemas|src\/(risk|stream|store|cache|io|ledger))\//,
  },
  { match: /^src\/app\.ts$/, mayImport: /^(schemas|src\/(?!main|cli|supervisor))/ },
  { match: /^src\/config\.ts$/, mayImport: /^(schemas\/|src\/(setting[\w-]*\.ts|(io|stream)\/))/ },
  {
    match: /^src\//,
    mayImport:
      /^(schemas|consumers|src)\/|^package\.json$|^bench\/run\.ts$|^loadtests\/lib\/report/,
  },
];

export const importDirection: Rule = ({ path, text }) => {
  const layer = layers.find(({ match }) => match.test(path));
  if (!layer) return [];
  return importsOf(path, text).flatMap(({ target, line }) =>
    target === path || layer.mayImport.test(target) || isPartOfRule(path, target)
      ? []
      : [`line ${line}: imports ${target}`],
  );
};

/** A domain's rules may have parts: `consumers/<domain>-<part>.ts`. */
function isPartOfRule(path: string, target: string): boolean {
  const domain = /^consumers\/([a-z]+)/.exec(path)?.[1];
  return domain !== undefined && target.startsWith(`consumers/${domain}-`);
}

function importsOf(path: string, text: string): { target: string; line: number }[] {
  const specifier = /(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g;
  return [...text.matchAll(specifier)].map((found) => ({
    target: normalize(join(dirname(path), found[1]!)).replaceAll('\\', '/'),
    line: lineNumber(text, found.index),
  }));
}
