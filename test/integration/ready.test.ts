// What a process refuses to start with.
import { afterAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { createLog } from '../../src/io/log.ts';
import { connectPostgres } from '../../src/io/postgres.ts';
import { producerClient } from '../../src/io/redis.ts';
import { storesReady } from '../../src/store/ready.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('ready');
const redis = producerClient(stack.redisUrl, 'ready');
afterAll(() => redis.disconnect());
const stopLater: Bun.Subprocess[] = [];
afterAll(() => {
  for (const child of stopLater) child.kill('SIGKILL');
});
const log = createLog('ready', 'silent');

test('the application role on a current schema is what a process starts with', async () => {
  await storesReady([redis], stack.sql, log);
});

test('a connection of another role is refused: it could see every tenant', async () => {
  const owner = connectPostgres(stack.databaseUrl, { max: 1, name: 'ready', asOwner: true });
  await expect(storesReady([redis], owner, log)).rejects.toThrow(/not as tallyrace_app/);
  await owner.end();
});

test('an outdated schema is refused, and the command that mends it is named', async () => {
  await stack.owner`delete from schema_migrations where name = 'queries/ledger.sql'`;
  await expect(storesReady([redis], stack.sql, log)).rejects.toThrow(/tallyrace migrate/);
});

test.each(['worker', 'effects', 'ingress'] as const)(
  'a %s with an outdated schema says so and ends, though it has connections',
  async (verb) => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, '../../src/main.ts'), verb], {
      env: { ...process.env, ...stack.environment, PORT: String(await findFreePort()) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    stopLater.push(child);
    expect(await child.exited).toBe(69);
    expect(await new Response(child.stderr).text()).toContain('tallyrace migrate');
  },
);
