// What every process waits for at its start: Redis answers, Postgres answers, the schema is
// current.
import type { Redis } from 'ioredis';
import type { Log } from '../io/log.ts';
import type { Sql } from '../io/postgres.ts';
import { redisReady } from '../io/redis.ts';
import { MigrationError, schemaIsCurrent } from './migrate.ts';

const PAUSE_MS = 500;

/** Waits however long it takes; rejects only for a schema that is not current. */
export async function storesReady(redis: readonly Redis[], sql: Sql, log: Log): Promise<void> {
  for (let said = false; ; said = true) {
    try {
      await Promise.all(redis.map((client) => redisReady(client)));
      const { current, detail } = await schemaIsCurrent(sql);
      if (!current) throw new MigrationError(detail);
      return;
    } catch (error) {
      if (error instanceof MigrationError) throw error;
      if (!said) log.warn({ error: String(error) }, 'waiting for Redis and Postgres');
      await Bun.sleep(PAUSE_MS);
    }
  }
}
