// Postgres comes back older than what was acknowledged: set so that a commit does not wait for the
// disk, it loses its last seconds in a crash. Redis has trimmed what it had been told is settled.
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { postgresChecks } from '../../src/cli/doctor-servers.ts';
import { connectPostgres } from '../../src/io/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { startPostgres } from '../../src/supervisor/postgres.ts';
import { Client } from '../client.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { createTenant } from '../tenants.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('lost-ledger');
Object.assign(stack.environment, { LEASE_MS: '600', LEASE_RENEW_MS: '200' });
const place = {
  dir: join(stack.home, 'own-postgres'),
  port: await findFreePort(),
  log: join(stack.home, 'own-postgres.log'),
};
let postgres = await startPostgres(place);
afterAll(() => postgres.stop());
await migrate(postgres.url);
stack.environment['DATABASE_URL'] = postgres.url;
const owner = connectPostgres(postgres.url, { max: 2, name: 'lost-ledger', asOwner: true });
afterAll(() => owner.end({ timeout: 1 }));

const event = (id: string) => ({
  id,
  type: 'earning.credited',
  data: { user_id: 'u_1', kind: 'test', amount: { amount: 5, currency: 'USD' }, reference: id },
});

test('commits that did not wait for the disk: warned of, counted as lost, sent again', async () => {
  const { key } = await createTenant(owner, 'lost-ledger');
  const ingress = await stack.startIngress();
  let client = new Client(ingress.url, key);
  const post = (id: string) => client.post('/v1/events', event(id), { prefer: 'wait=ledger' });
  await owner.unsafe(`alter system set synchronous_commit = off`);
  await owner`select pg_reload_conf()`;
  const worker = await stack.startWorker();
  await eventually('it is warned of', () =>
    worker.output().includes('Postgres has synchronous_commit off'),
  );
  const wrong = (await postgresChecks(postgres.url)).filter(({ ok }) => !ok);
  expect(wrong.map(({ name }) => name)).toEqual(['postgres synchronous_commit']);
  expect((await post('kept')).status).toBe(200);

  await owner.unsafe('checkpoint');
  const writer = await walWriter();
  process.kill(writer, 'SIGSTOP');
  const names = Array.from({ length: 5 }, (_, n) => `unwritten_${n}`);
  for (const name of names) expect((await post(name)).status).toBe(200);
  process.kill(postgres.pid, 'SIGKILL');
  process.kill(writer, 'SIGKILL');
  await postgres.stop();
  // Its processes may take a moment to follow it.
  postgres = await eventually('Postgres starts again', () => startPostgres(place));

  const found = await eventually('it is settled', async () => {
    const reply = await post('after');
    return reply.status === 200 ? owner`select event_id from outcomes` : null;
  });
  expect(found.map((row) => row['event_id'] as string).sort()).toEqual(['after', 'kept']);
  const { stdout } = await stack.run('verify', '--json');
  expect((JSON.parse(stdout) as { problems: object[] }).problems).toEqual([
    { check: 'lost', detail: expect.stringContaining('Redis lost 5 accepted events') },
  ]);
  // What an ingress remembers is of the ledger that was lost: ids that it takes for repeats.
  await ingress.kill('SIGTERM');
  client = new Client((await stack.startIngress()).url, key);
  for (const name of names) expect((await post(name)).status).toBe(200);
  const balance = await client.get('/v1/accounts/user:u_1:earnings/balance');
  expect(balance.body).toMatchObject({ balance: { amount: 35 }, sequence: 7 });
});

/** Writes what nobody has waited for, a moment later. */
async function walWriter(): Promise<number> {
  const [row] = await owner`
    select pid from pg_stat_activity where backend_type = 'walwriter'`;
  return row!['pid'] as number;
}
