// Where secrets lie and where they do not: files that only their owner reads, and a doctor that
// says when it is otherwise; no password on a command line; no key in a log or a metric.
import { expect, test } from 'bun:test';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secretsCheck } from '../../src/cli/doctor-secrets.ts';
import { Client } from '../client.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('secrets', async ({ createTenant, startIngress, startWorker }) => {
  const ingress = await startIngress({ LOG_LEVEL: 'trace' });
  const worker = await startWorker({ LOG_LEVEL: 'trace' });
  return { ingress, worker, tenant: await createTenant('secrets') };
});
const { ingress, worker, tenant } = stack;

test('doctor names each secret that others could read, and the fix', () => {
  const home = mkdtempSync(join(tmpdir(), 'tallyrace-modes-'));
  try {
    mkdirSync(join(home, 'redis'));
    for (const name of ['demo-key', 'redis/password'])
      writeFileSync(join(home, name), 'secret', { mode: 0o600 });
    expect(secretsCheck(home)).toMatchObject({ ok: true, fix: '' });
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(join(home, 'redis/password'), mode);
      const { ok, fix } = secretsCheck(home);
      expect(ok).toBe(false);
      expect(fix).toContain('redis/password');
      expect(fix).not.toContain('demo-key');
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test('doctor looks at them', async () => {
  const { stdout } = await stack.run('doctor', '--json');
  const { checks } = JSON.parse(stdout) as { checks: { name: string; ok: boolean }[] };
  expect(checks.find(({ name }) => name === 'secrets')).toMatchObject({ ok: true });
});

// Only Linux shows command lines and environments as files.
test.if(process.platform === 'linux')('no password is on a command line', () => {
  const password = new URL(stack.redisUrl).password;
  expect(password.length).toBeGreaterThan(20);
  for (const pid of [stack.redisPid, ingress.pid, worker.pid]) {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    expect(line).not.toBe('');
    expect(line).not.toContain(password);
    expect(line).not.toContain(new URL(stack.databaseUrl).password || password);
  }
});

test('neither keys nor what requests carry are in logs, metrics or pages', async () => {
  const client = new Client(ingress.url, tenant.key);
  const reference = 'a-reference-that-is-nobodys-business';
  const money = { amount: 1, currency: 'USD' };
  const data = { user_id: 'u', kind: 'test', amount: money, reference };
  const event = { id: 'e', type: 'earning.credited', data };
  expect((await client.post('/v1/events', event, { prefer: 'wait=ledger' })).status).toBe(200);
  await client.post('/v1/events', { ...event, data: { ...data, kind: 7 } });
  await client.get(`/v1/partners?key=${tenant.key}`);
  await client.get('/v1/accounts/user:u:earnings/balance?at_least=events.7.99999');
  const said = [ingress.output(), worker.output()];
  for (const path of ['/metrics', '/readyz', '/livez', '/openapi.json', '/docs'])
    said.push(await (await fetch(ingress.url + path)).text());
  const run = join(stack.home, 'run');
  for (const file of readdirSync(run)) said.push(readFileSync(join(run, file), 'utf8'));
  const passwords = [stack.redisUrl, stack.databaseUrl].map((url) => new URL(url).password);
  for (const text of said)
    for (const secret of [tenant.key, reference, ...passwords.filter((each) => each !== '')])
      expect(text).not.toContain(secret);
});

test('a key is shown once, and changes of keys and limits are in the audit log', async () => {
  const made = await stack.run(
    'keys',
    'create',
    '--tenant',
    'secrets',
    '--name',
    'ci',
    '--scopes',
    'admin',
    '--json',
  );
  const { id, key } = JSON.parse(made.stdout) as { id: string; key: string };
  const listed = await stack.run('keys', 'list', '--tenant', 'secrets', '--json');
  expect(listed.stdout).toContain(id);
  expect(listed.stdout).not.toContain(key);
  expect((await new Client(ingress.url, key).put('/v1/limits/checks', null)).status).toBe(200);
  expect((await stack.run('keys', 'revoke', id)).exitCode).toBe(0);
  const rows = await stack.owner<{ actor: string; action: string; subject: string; row: string }[]>`
    select actor, action, subject, to_jsonb(a)::text as row from audit_log a
    where tenant_id = ${tenant.id} order by a.id`;
  expect(rows.map(({ action }) => action)).toEqual(['key.created', 'limits.put', 'key.revoked']);
  expect(rows[1]).toMatchObject({ actor: `key:${id}`, subject: 'checks' });
  for (const { actor, row } of rows) {
    expect(actor).not.toBe('');
    expect(row).not.toContain(key);
  }
});

test('the application adds to the audit log, and can neither change nor remove', async () => {
  const [may] = await stack.sql`
    select has_table_privilege('audit_log', 'insert') as add,
           has_any_column_privilege('audit_log', 'update') as change,
           has_table_privilege('audit_log', 'delete, truncate') as remove`;
  expect(may).toEqual({ add: true, change: false, remove: false });
});
