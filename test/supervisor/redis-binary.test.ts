// Which Redis is taken, and what the reader is told when there is none.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Unavailable } from '../../src/supervisor/launch.ts';
import { findRedis, isNewEnough } from '../../src/supervisor/redis-binary.ts';

const dir = mkdtempSync(join(tmpdir(), 'tallyrace-binary-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** A directory with a program that says it is this version. */
function pathWith(name: string, version: string): string {
  const path = join(dir, `${name}-${version}`);
  mkdirSync(path, { recursive: true });
  const script = `#!/bin/sh\necho "Server v=${version} sha=0"\n`;
  writeFileSync(join(path, name), script, { mode: 0o755 });
  return path;
}

const find = (path: string, afterInstall = ''): string =>
  findRedis(() => {}, { path, afterInstall, managers: [] });

describe('the Redis that is taken', () => {
  test('is the first on the path', () => {
    const path = pathWith('redis-server', '7.0.15');
    expect(find(path)).toBe(join(path, 'redis-server'));
  });

  test('may be Valkey', () => {
    const path = pathWith('valkey-server', '8.0.1');
    expect(find(path)).toBe(join(path, 'valkey-server'));
  });

  test('is Valkey when the Redis beside it is too old', () => {
    const valkey = pathWith('valkey-server', '8.1.0');
    const path = `${pathWith('redis-server', '6.2.7')}:${valkey}`;
    expect(find(path)).toBe(join(valkey, 'valkey-server'));
  });

  test('is looked for again after an installation', () => {
    const path = pathWith('redis-server', '7.2.0');
    expect(find('', path)).toBe(join(path, 'redis-server'));
  });

  test('is installed by the package manager when there is one', () => {
    const later = join(dir, 'later');
    const manager = join(dir, 'installer');
    const source = join(pathWith('redis-server', '7.4.1'), 'redis-server');
    const script = `#!/bin/sh\nmkdir -p ${later} && cp ${source} ${later}/\n`;
    writeFileSync(manager, script, { mode: 0o755 });
    const said: string[] = [];
    const found = findRedis((line) => said.push(line), {
      path: dir,
      afterInstall: later,
      managers: [{ command: manager, steps: [[manager, 'install']], needsRoot: false }],
    });
    expect(found).toBe(join(later, 'redis-server'));
    expect(said).toEqual([`Redis is not installed; installing it with ${manager} …`]);
  });

  test('must not be too old, and the message says how old it is', () => {
    const path = pathWith('redis-server', '6.2.0');
    expect(() => find(path)).toThrow(/redis-server is version 6\.2\.0.*7\.0/);
  });

  test('when there is none, the message says what to type', () => {
    expect(() => find(dir)).toThrow(Unavailable);
    expect(() => find(dir)).toThrow(/Redis is missing\. Type:\n\n {2}\S.*install[^]*REDIS_URL/);
  });

  test.each([
    ['redis-server', '7.0.0', true],
    ['redis-server', '6.9.9', false],
    ['redis-server', '10.0.0', true],
    ['valkey-server', '7.2.5', false],
    ['valkey-server', '8.0.0', true],
    ['redis-server', '', false],
  ])('%s %s: new enough is %p', (name, version, expected) => {
    expect(isNewEnough(name, version)).toBe(expected);
  });
});
