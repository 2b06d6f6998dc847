// A schema that moves under a running system: nobody's request fails, older processes go on, and a
// table that somebody reads holds up no writer.
import { afterAll, expect, test } from 'bun:test';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectPostgres } from '../../src/io/postgres.ts';
import { migrate, schemaIsCurrent, schemaServes, signaturesOf } from '../../src/store/migrate.ts';
import { releaseAt } from '../../src/store/release.ts';
import { settledReport } from '../ledger-proof.ts';
import { eventually } from '../processes.ts';
import { ROOT } from '../services.ts';
import { openStack } from '../stack.ts';
import { Caller, sumOf } from './http-caller.ts';
import { dropRestored, emptyDatabase } from './restored.ts';

const dir = mkdtempSync(join(tmpdir(), 'tallyrace-release-'));
const stack = await openStack('migrate', async (opened) => ({
  tenant: await opened.createTenant('migrate'),
  ingress: await opened.startIngress({ QUEUE_WAIT_MS_MAX: '3600000' }),
  worker: await opened.startWorker({ PROCESS_NAME: 'old' }),
}));
afterAll(async () => {
  await dropRestored();
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

const now = releaseAt(ROOT);

/** This release with another number, its functions touched, and a migration more. */
function laterRelease(version: string, migration: string) {
  const root = join(dir, version);
  cpSync(join(ROOT, 'sql'), join(root, 'sql'), { recursive: true });
  writeFileSync(join(root, 'package.json'), JSON.stringify({ version }));
  const [major] = version.split('.');
  writeFileSync(join(root, `sql/migrations/9${major!.padStart(3, '0')}_later.sql`), migration);
  for (const name of readdirSync(join(root, 'sql/queries'))) {
    const file = join(root, 'sql/queries', name);
    writeFileSync(file, `${readFileSync(file, 'utf8')}\n-- As of ${version}.\n`);
  }
  return releaseAt(root);
}

function startLoad(name: string) {
  const answered: string[] = [];
  let sent = 0;
  const callers = Array.from(
    { length: 4 },
    (_, n) =>
      new Caller({
        port: Number(new URL(stack.ingress.url).port),
        keepAlive: true,
        // No answer at all is a failure; how fast they come is not asked here.
        answerWithinMs: 30_000,
        next: () => {
          const id = `${name}_${sent++}`;
          const amount = { amount: 1, currency: 'USD' };
          const data = { user_id: `u_${sent % 40}`, kind: 'test', amount, reference: id };
          const prefer = n === 0 ? { Prefer: 'wait=ledger' } : {};
          return {
            path: '/v1/events',
            headers: { Authorization: `Bearer ${stack.tenant.key}`, ...prefer },
            body: JSON.stringify({ id, type: 'earning.credited', data }),
          };
        },
        onAnswer: ({ body }) => answered.push((JSON.parse(body) as { id: string }).id),
      }),
  );
  let stopped = false;
  const done = Promise.all(callers.map((caller) => caller.run(() => stopped)));
  return {
    answered,
    async stop() {
      stopped = true;
      await done;
      return sumOf(callers.map(({ tally }) => tally));
    },
  };
}

/** On a busy machine it may also say that it got no answer in time. */
async function schemaSays(): Promise<string> {
  const answer = await fetch(`${stack.ingress.url}/readyz`);
  return ((await answer.json()) as { checks: { schema: { detail: string } } }).checks.schema.detail;
}

const isReady = async (): Promise<boolean> => (await fetch(`${stack.ingress.url}/readyz`)).ok;

test('what processes call is there as they call it, and listed', async () => {
  const there = await signaturesOf(stack.owner);
  const called = there.filter((name) => !/^(system_)?verify_/.test(name));
  // A line that is gone breaks the processes of the release before: see the top of sql/calls.txt.
  expect(now.calls.filter((call) => !called.includes(call))).toEqual([]);
  expect(called.filter((name) => !now.calls.includes(name))).toEqual([]);
});

test('a later release migrates under a running one, and no request fails', async () => {
  const load = startLoad('under');
  for (const version of ['90.0.0', '91.0.0', '92.0.0']) {
    const column = `later_${version.slice(0, 2)}`;
    const release = laterRelease(version, `-- A column.\nalter table streams add ${column} int;`);
    const applied = await migrate(stack.databaseUrl, () => {}, { release });
    expect(applied).toContain('queries/ledger.sql');
    expect(await schemaSays()).not.toMatch(/no longer|not applied|edited/);
  }
  const seen = load.answered.length;
  await eventually('the load goes on', () => load.answered.length > seen + 50);
  const { failed, retried } = await load.stop();
  expect({ failed, retried }).toEqual({ failed: {}, retried: 0 });
  const report = await settledReport(stack);
  expect(report).toMatchObject({ ok: true, pending: 0, dead: 0, problems: [] });
  expect(report.posted).toBe(load.answered.length);
});

test('a process of the older release starts on it, and its migrate changes nothing', async () => {
  await stack.worker.kill('SIGKILL');
  const again = await stack.startWorker({ PROCESS_NAME: 'old' });
  const load = startLoad('older');
  await eventually('events are answered', () => load.answered.length > 50);
  expect((await load.stop()).failed).toEqual({});
  expect((await settledReport(stack)).problems).toEqual([]);
  const said: string[] = [];
  expect(await migrate(stack.databaseUrl, (line) => said.push(line))).toEqual([]);
  expect(said).toEqual([`functions stay those of 92.0.0, which is later than ${now.version}`]);
  expect((await schemaIsCurrent(stack.sql)).current).toBe(true);
  await again.kill('SIGTERM');
});

test('a function that is called otherwise is seen before anything calls it', async () => {
  await stack.owner.unsafe('alter function worker_gone(text, uuid) rename to worker_left');
  for (const asked of [schemaServes(stack.sql), schemaIsCurrent(stack.sql)])
    expect(await asked).toMatchObject({
      current: false,
      detail: expect.stringContaining('no longer has worker_gone as this one calls it'),
    });
  await eventually('the ingress is not ready', async () => !(await isReady()));
  await stack.owner.unsafe('alter function worker_left(text, uuid) rename to worker_gone');
  await eventually('it is ready again', isReady);
});

test('a migration that must wait for a reader lets writers pass', async () => {
  const worker = await stack.startWorker({ PROCESS_NAME: 'old' });
  const reader = connectPostgres(stack.databaseUrl, { max: 1, name: 'reader', asOwner: true });
  const [reads, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const reading = reader.begin(async (tx) => {
    await tx`select count(*) from streams`;
    reads.resolve();
    await held.promise;
  });
  await Promise.race([reads.promise, reading]);
  const release = laterRelease('93.0.0', '-- A column.\nalter table streams add later_93 int;');
  const said: string[] = [];
  let isDone = false;
  const migrating = migrate(stack.databaseUrl, (line) => said.push(line), { release }).finally(
    () => (isDone = true),
  );
  await eventually('it waits', () => said.some((line) => line.includes('waits for a table')));
  const load = startLoad('meanwhile');
  await eventually('events are settled meanwhile', async () => {
    const [row] = await stack.owner`
      select count(*)::int as settled from outcomes where event_id like 'meanwhile_%'`;
    return row!['settled'] > 50;
  });
  expect(isDone).toBe(false);
  expect((await load.stop()).failed).toEqual({});
  held.resolve();
  await reading;
  await reader.end();
  expect(await migrating).toContain('migrations/9093_later.sql');
  await worker.kill('SIGTERM');
}, 60_000);

test('a database of the first release, with its data, comes forward', async () => {
  const url = await emptyDatabase(stack);
  const first = /migrations\/000[123]_/;
  await migrate(url, () => {}, { only: (name) => first.test(name) });
  const owner = connectPostgres(url, { max: 1, name: 'first', asOwner: true });
  const [user, platform] = ['a', 'b'].map((letter) => letter.repeat(32));
  await owner
    .unsafe(
      `insert into tenants (name) values ('first');
       insert into streams (stream, settled, posted) values ('events.0', 1, 1);
       insert into outcomes (event_key, stream_offset, fingerprint, accepted_at, posted_at,
         tenant_id, verdict, event_id, type, stream, body)
         values ('${'c'.repeat(32)}', 1, 7, now(), now(), 1, 1, 'e', 'earning.credited',
           'events.0', '\\x00');
       insert into balances (account_key, balance, sequence, tenant_id, account, unit) values
         ('${user}', 5, 1, 1, 'user:u:earnings', 'USD'),
         ('${platform}', -5, 1, 1, 'platform:earnings', 'USD');
       insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key,
         tenant_id) select k::uuid, 1, now(), a, a, '${'c'.repeat(32)}', 1
         from (values ('${user}', 5), ('${platform}', -5)) v (k, a)`,
    )
    .simple();
  await migrate(url);
  expect((await schemaIsCurrent(owner)).current).toBe(true);
  const rows = await owner`select balance from account_balances(1, 'user:u:earnings')`;
  expect(rows.map((row) => Number(row['balance']))).toEqual([5]);
  await owner.end();
});
