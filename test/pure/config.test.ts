// Settings: defaults are valid, every wrong one is named at once, .env.example is in step.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { ConfigError, exampleEnvironment, readConfig } from '../../src/config.ts';

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('settings', () => {
  test('an empty environment gives the defaults', () => {
    const config = readConfig({});
    expect(config.port).toBe(3000);
    expect(config.host).toBe('127.0.0.1');
    expect(config.databaseUrl).toBeNull();
    expect(config.home).toBe(join(process.cwd(), '.tallyrace'));
  });

  test('a blank value counts as unset', () => {
    expect(readConfig({ PORT: '', REDIS_URL: ' ' })).toEqual(readConfig({}));
  });

  test('all wrong values are reported at once, each with its name and fix', () => {
    const problems = problemsOf({ PORT: '70000', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://x' });
    expect(problems).toEqual([
      'PORT must be a whole number from 0 to 65535 (default 3000)',
      'DATABASE_URL must be a URL like postgres://user:password@host:5432/database or unset',
      'LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent (default info)',
    ]);
  });

  test('a wrong value is not echoed, since it may be a secret', () => {
    expect(problemsOf({ TALLYRACE_KEY: 'hunter2' }).join()).not.toContain('hunter2');
  });

  const wrong: [string, Record<string, string>][] = [
    ['LEASE_RENEW_MS', { LEASE_MS: '2000', LEASE_RENEW_MS: '1000' }],
    ['BATCH_BODY_BYTES_MAX', { BODY_BYTES_MAX: '8192', BATCH_BODY_BYTES_MAX: '4096' }],
    ['APPEND_BYTES_WAITING_MAX', { APPEND_BYTES_WAITING_MAX: '4194303' }],
    ['WAIT_LEDGER_MS_DEFAULT', { WAIT_LEDGER_MS_DEFAULT: '40000' }],
    ['REDIS_REPLICAS_MIN', { REDIS_REPLICAS_MIN: '1' }],
    ['TALLYRACE_KEY', { TALLYRACE_KEY: 'tr_live_abcdefgh' }],
    ['PORT', { PORT: '3e3' }],
    ['WORKER_PROCESSES', { WORKER_PROCESSES: '0' }],
  ];
  test.each(wrong)('%s is refused when it is wrong', (name, environment) => {
    expect(problemsOf(environment)).toHaveLength(1);
    expect(problemsOf(environment)[0]).toStartWith(name);
  });

  test('.env.example lists every setting, as exampleEnvironment writes it', async () => {
    const file = Bun.file(join(import.meta.dir, '../../.env.example'));
    expect(await file.text()).toBe(exampleEnvironment());
  });
});
