// What doctor looks at in Redis and Postgres: versions, and the settings that money depends on.
import type { Redis } from 'ioredis';
import { APP_ROLE, connectPostgres, durabilitySettings, type Sql } from '../io/postgres.ts';
import { redisSetting, replicasOnline } from '../io/redis-promise.ts';
import { withRedis } from '../io/redis.ts';
import { schemaIsCurrent } from '../store/migrate.ts';
import { isNewEnough } from '../supervisor/redis-binary.ts';
import type { Check } from './doctor-machine.ts';

export async function redisChecks(url: string, replicasMin: number): Promise<Check[]> {
  try {
    return await withRedis(url, 'doctor', (client) => checksOf(client, replicasMin), 2_000);
  } catch (error) {
    return [away('redis', error, 'start it with "npm start", or look at REDIS_URL')];
  }
}

async function checksOf(client: Redis, replicasMin: number): Promise<Check[]> {
  return [
    versionCheck(await client.info('server')),
    await redisCheck(client, 'appendonly', ['yes'], 'a crash would lose accepted events'),
    await redisCheck(client, 'appendfsync', ['always', 'everysec'], 'a power cut would too'),
    await redisCheck(client, 'no-appendfsync-on-rewrite', ['no'], 'a power cut would too'),
    await redisCheck(client, 'maxmemory-policy', ['noeviction'], 'streams would be evicted'),
    ...(replicasMin > 0 ? await replicaChecks(client, replicasMin) : []),
  ];
}

function versionCheck(info: string): Check {
  const valkey = /valkey_version:([\d.]+)/.exec(info)?.[1];
  const version = valkey ?? /redis_version:([\d.]+)/.exec(info)?.[1] ?? '';
  const name = valkey ? 'valkey' : 'redis';
  const ok = isNewEnough(name, version);
  const fix = ok ? '' : 'install Redis 7.0 or Valkey 8, or later';
  return { name, ok, detail: `version ${version}`, fix };
}

/** Replicas that confirm what is accepted. Where Redis itself wants as many, it refuses a write
 * that they could not confirm, instead of doing what nobody is then told of. */
async function replicaChecks(client: Redis, wanted: number): Promise<Check[]> {
  const online = await replicasOnline(client);
  const ok = online !== null && online >= wanted;
  const detail = online === null ? 'this server is a replica itself' : `${online} online`;
  const fix = ok ? '' : `start ${wanted}, or lower REDIS_REPLICAS_MIN: events are answered 503`;
  const enough = Array.from({ length: 17 }, (_, more) => String(wanted + more));
  return [
    { name: 'redis replicas', ok, detail, fix },
    await redisCheck(
      client,
      'min-replicas-to-write',
      enough,
      'what no replica can confirm is refused, not done and then not answered for',
    ),
  ];
}

/** Hosted servers may not tell; then the reader has to look. */
async function redisCheck(
  client: Redis,
  setting: string,
  wanted: readonly string[],
  otherwise: string,
): Promise<Check> {
  const name = `redis ${setting}`;
  const value = await redisSetting(client, setting);
  if (value === null) return { name, ok: true, detail: 'not told by this server', fix: '' };
  const ok = wanted.includes(value);
  const fix = ok ? '' : `set ${setting} to ${wanted.slice(0, 2).join(' or ')}: ${otherwise}`;
  return { name, ok, detail: value, fix };
}

export async function postgresChecks(url: string): Promise<Check[]> {
  const sql = connectPostgres(url, { max: 1, name: 'doctor', asOwner: true });
  try {
    const [server] = await sql<{ version: string }[]>`
      select current_setting('server_version') as version`;
    const version: Check = {
      name: 'postgres',
      ok: Number.parseInt(server!.version, 10) >= 15,
      detail: `version ${server!.version}`,
      fix: 'install Postgres 15 or later',
    };
    return [
      version.ok ? { ...version, fix: '' } : version,
      ...(await durability(sql)),
      await schemaCheck(sql),
      await roleCheck(sql),
    ];
  } catch (error) {
    return [away('postgres', error, 'start it with "npm start", or look at DATABASE_URL')];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function durability(sql: Sql): Promise<Check[]> {
  const settings = await durabilitySettings(sql);
  return settings.map(({ name, setting, safe: ok }) => {
    const fix = ok ? '' : `set ${name} to on: a crash would lose or break the ledger`;
    return { name: `postgres ${name}`, ok, detail: setting, fix };
  });
}

async function schemaCheck(sql: Sql): Promise<Check> {
  const { current, detail } = await schemaIsCurrent(sql);
  const fix = current ? '' : 'run "tallyrace migrate"';
  return { name: 'schema', ok: current, detail, fix };
}

async function roleCheck(sql: Sql): Promise<Check> {
  const [role] = await sql<{ unbound: boolean }[]>`
    select rolsuper or rolbypassrls as unbound from pg_roles where rolname = ${APP_ROLE}`;
  const name = 'application role';
  if (!role) return { name, ok: false, detail: 'missing', fix: 'run "tallyrace migrate"' };
  return role.unbound
    ? {
        name,
        ok: false,
        detail: `${APP_ROLE} bypasses row-level security`,
        fix: `alter role ${APP_ROLE} nosuperuser nobypassrls`,
      }
    : { name, ok: true, detail: `${APP_ROLE} is bound by row-level security`, fix: '' };
}

function away(name: string, error: unknown, fix: string): Check {
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  return { name, ok: false, detail: `does not answer${code}`, fix };
}
