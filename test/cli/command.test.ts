// The command as scripts use it: exit codes, JSON, what it changes in the database.
import { describe, expect, test } from 'bun:test';
import { openStack } from '../stack.ts';

const stack = await openStack('command');
await stack.createTenant('acme');

interface Made {
  id: string;
  key: string;
  scopes: string[];
}

async function json<T>(...args: string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await stack.run(...args, '--json');
  if (exitCode !== 0) throw new Error(`${args.join(' ')}: ${exitCode}\n${stderr}`);
  return JSON.parse(stdout) as T;
}

describe('exit codes', () => {
  test.each([
    [0, ['--help']],
    [0, ['keys', '--help']],
    [2, ['bogus']],
    [2, ['up', '--bogus']],
    [2, ['keys', 'create', '--tenant', 'acme']],
    [2, ['keys', 'create', '--tenant', 'acme', '--name', 'x', '--scopes', 'everything']],
    [2, ['keys', 'create', '--tenant', 'nobody', '--name', 'x', '--scopes', 'admin']],
    [1, ['keys', 'revoke', 'no-such-key']],
    [0, ['migrate', 'verify']],
    [2, ['bench', 'bogus']],
    [2, ['bench', 'load', '--rate', 'fast']],
  ])('%i for %j', async (expected, args) => {
    expect((await stack.run(...args)).exitCode).toBe(expected);
  });
});

describe('keys', () => {
  test('a key that was made opens what its scopes say, and nothing once revoked', async () => {
    const ingress = await stack.startIngress();
    const status = async (key: string, path: string): Promise<number> =>
      (await fetch(ingress.url + path, { headers: { Authorization: `Bearer ${key}` } })).status;
    const name = ['--tenant', 'acme', '--name', 'till'];
    const { id, key } = await json<Made>('keys', 'create', ...name, '--scopes', 'balances:read');
    expect(await status(key, '/v1/accounts/user:u:earnings/balance')).not.toBeOneOf([401, 403]);
    expect(await status(key, '/v1/coupons')).toBe(403);
    expect((await stack.run('keys', 'revoke', id)).exitCode).toBe(0);
    await Bun.sleep(2_000);
    expect(await status(key, '/v1/accounts/user:u:earnings/balance')).toBe(401);
  });

  test('are listed without being shown, and are stored as a hash', async () => {
    const made = await json<Made>(
      ...['keys', 'create', '--tenant', 'acme', '--name', 'web', '--publishable'],
    );
    expect(made.key).toStartWith('tr_pub_');
    expect(made.scopes).toEqual(['coupons:check']);
    const { stdout } = await stack.run('keys', 'list', '--json');
    expect(stdout).toContain(made.id);
    expect(stdout).not.toContain(made.key.slice(12, -4));
    const [row] = await stack.owner`
      select encode(hash, 'hex') as hash from api_keys where id = ${made.id}`;
    expect(row!['hash']).toBe(Bun.SHA256.hash(made.key, 'hex'));
  });

  test('leave their making and their end in the audit log', async () => {
    const { id } = await json<Made>(
      ...['keys', 'create', '--tenant', 'acme', '--name', 'brief', '--scopes', 'admin'],
    );
    await stack.run('keys', 'revoke', id);
    const rows = await stack.owner`select action from audit_log where subject = ${id} order by id`;
    expect(rows.map((row) => row['action'])).toEqual(['key.created', 'key.revoked']);
  });
});

describe('migrate', () => {
  const record = async (name: string, checksum: string): Promise<void> => {
    await stack.owner`update schema_migrations set checksum = ${checksum} where name = ${name}`;
  };
  const state = (): Promise<{ current: boolean; changed: string[]; edited: string[] }> =>
    json('migrate', 'status');

  test('applies a query file again when it has changed', async () => {
    await record('queries/ledger.sql', 'of an older text');
    expect(await state()).toMatchObject({ current: false, changed: ['queries/ledger.sql'] });
    expect((await stack.run('migrate', 'verify')).exitCode).toBe(1);
    const { exitCode, stdout } = await stack.run('migrate');
    expect([exitCode, stdout.trim()]).toEqual([0, 'apply queries/ledger.sql']);
    expect(await state()).toMatchObject({ current: true });
  });

  test('refuses to go on when a migration was edited after it was applied', async () => {
    const name = 'migrations/0001_engine.sql';
    const [row] = await stack.owner`select checksum from schema_migrations where name = ${name}`;
    await record(name, 'of another text');
    expect(await state()).toMatchObject({ current: false, edited: [name] });
    const { exitCode, stderr } = await stack.run('migrate');
    expect(exitCode).toBe(69);
    expect(stderr).toContain(`${name} was edited after it was applied`);
    await record(name, row!['checksum'] as string);
    expect(await state()).toMatchObject({ current: true });
  });

  test('two at once do not get in each other’s way', async () => {
    await record('queries/ledger.sql', 'of an older text');
    const runs = await Promise.all([stack.run('migrate'), stack.run('migrate')]);
    expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    const applied = runs.filter(({ stdout }) => stdout.includes('apply queries/ledger.sql'));
    expect(applied).toHaveLength(1);
  });
});

describe('doctor', () => {
  interface Diagnosis {
    ok: boolean;
    checks: { name: string; ok: boolean; fix: string }[];
  }

  test('finds nothing wrong with a good stack', async () => {
    const { checks, ok } = await json<Diagnosis>('doctor');
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(ok).toBe(true);
  });

  test('finds a schema that is behind, and says how to mend it', async () => {
    await stack.owner`delete from schema_migrations where name = 'queries/ledger.sql'`;
    const { exitCode, stdout } = await stack.run('doctor');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('fix: run "tallyrace migrate"');
    expect((await stack.run('migrate')).exitCode).toBe(0);
    expect((await stack.run('doctor')).exitCode).toBe(0);
  });
});
