// What every process waits for at its start: Redis answers, Postgres answers, the schema is
// current.
import type { Redis } from 'ioredis';
import type { Log } from '../io/log.ts';
import { APP_ROLE, type Sql } from '../io/postgres.ts';
import { redisReady } from '../io/redis.ts';
import { schemaIsCurrent } from './migrate.ts';
import { MigrationError } from './release.ts';

const PAUSE_MS = 500;

class WrongRole extends Error {}

/** Waits however long it takes; rejects for a schema that is not current, or the wrong role. */
export async function storesReady(redis: readonly Redis[], sql: Sql, log: Log): Promise<void> {
  for (let said = false; ; said = true) {
    try {
      await Promise.all(redis.map((client) => redisReady(client)));
      const { current, detail } = await schemaIsCurrent(sql);
      if (!current) throw new MigrationError(detail);
      await checkRole(sql);
      return;
    } catch (error) {
      if (error instanceof MigrationError || error instanceof WrongRole) throw error;
      if (!said) log.warn({ error: String(error) }, 'waiting for Redis and Postgres');
      await Bun.sleep(PAUSE_MS);
    }
  }
}

/** A pooler may drop the role that we ask for at connect; row-level security would then not hold. */
async function checkRole(sql: Sql): Promise<void> {
  const [row] = await sql`
    select current_user::text as name, rolsuper or rolbypassrls as bypasses
    from pg_roles where rolname = current_user`;
  if (row!['name'] === APP_ROLE && row!['bypasses'] === false) return;
  throw new WrongRole(
    `connected to Postgres as ${row!['name'] as string}, not as ${APP_ROLE}, which row-level ` +
      'security needs; a pooler in between must pass the start-up parameter "role" on',
  );
}
