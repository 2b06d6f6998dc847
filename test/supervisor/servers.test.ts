// The servers that we start: they answer, refuse strangers, keep their data through a SIGKILL, and
// say in one sentence why they do not start.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectPostgres } from '../../src/io/postgres.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import type { Server } from '../../src/supervisor/launch.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { startPostgres } from '../../src/supervisor/postgres.ts';
import { startRedis } from '../../src/supervisor/redis.ts';
import { eventually } from '../processes.ts';

const dir = mkdtempSync(join(tmpdir(), 'tallyrace-servers-'));
const place = async (name: string) => ({
  dir: join(dir, name),
  port: await findFreePort(),
  log: join(dir, `${name}.log`),
});
let postgres: Server;
let redis: Server;
let blocker: TcpServer;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([
    startPostgres(await place('postgres')),
    startRedis(await place('redis')),
  ]);
  blocker = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => blocker.once('listening', resolve));
});

afterAll(async () => {
  blocker.close();
  await Promise.all([postgres.stop(), redis.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

const isGone = (pid: number) => () => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const sql = connectPostgres(url, { max: 1, name: 'test', asOwner: true });
  try {
    return await sql.unsafe(text);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

describe('Postgres', () => {
  test('keeps what a crash must not take', async () => {
    const rows = await query(
      postgres.url,
      `select string_agg(setting, ' ') as settings from pg_settings
       where name in ('fsync', 'synchronous_commit', 'full_page_writes')`,
    );
    expect(rows[0]!['settings']).toBe('on on on');
  });

  test('refuses a wrong password', async () => {
    const stranger = new URL(postgres.url);
    stranger.password = 'guess';
    await expect(query(stranger.href, 'select 1')).rejects.toThrow(
      /password authentication failed/,
    );
  });

  test('has its data again after a SIGKILL', async () => {
    await query(postgres.url, 'create table public.kept as select 42 as answer');
    process.kill(postgres.pid, 'SIGKILL');
    await eventually('its end', isGone(postgres.pid));
    postgres = await startPostgres(await place('postgres'));
    expect((await query(postgres.url, 'select answer from public.kept'))[0]!['answer']).toBe(42);
  });

  test('is not kept out by the lock of a process that is no longer Postgres', async () => {
    process.kill(postgres.pid, 'SIGKILL');
    await eventually('its end', isGone(postgres.pid));
    const lock = join(dir, 'postgres', 'data', 'cluster', 'postmaster.pid');
    writeFileSync(lock, `${process.pid}\n`);
    postgres = await startPostgres(await place('postgres'));
    expect(await query(postgres.url, 'select 1 as one')).toHaveLength(1);
  });

  test('names the port that is in use', async () => {
    const { port } = blocker.address() as { port: number };
    const second = { ...(await place('second')), port };
    await expect(startPostgres(second)).rejects.toThrow(`port ${port} is in use`);
  });
});

describe('Redis', () => {
  test('refuses a wrong password', async () => {
    const stranger = producerClient(redis.url.replace(/:[^:@]+@/, ':guess@'), 'test');
    await expect(redisReady(stranger, 500)).rejects.toThrow();
    stranger.disconnect();
  });

  test('has an acknowledged write again after a SIGKILL', async () => {
    const before = producerClient(redis.url, 'test');
    await redisReady(before);
    await before.set('kept', '42');
    process.kill(redis.pid, 'SIGKILL');
    before.disconnect();
    await eventually('its end', isGone(redis.pid));
    redis = await startRedis(await place('redis'));
    const after = producerClient(redis.url, 'test');
    await redisReady(after);
    expect(await after.get('kept')).toBe('42');
    after.disconnect();
  });

  test('keeps its password from others', () => {
    for (const file of ['redis/password', 'redis/redis.conf', 'postgres/password'])
      expect(statSync(join(dir, file)).mode & 0o077).toBe(0);
  });

  test('names the port that is in use', async () => {
    const { port } = blocker.address() as { port: number };
    const second = { ...(await place('second-redis')), port };
    await expect(startRedis(second)).rejects.toThrow(`port ${port} is in use`);
  });
});
