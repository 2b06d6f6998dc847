// What verbs that look at a running system need: clients of its Redis and Postgres, for one action.
import { userInfo } from 'node:os';
import type { Redis } from 'ioredis';
import { readConfig } from '../config.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import { producerClient, redisReady } from '../io/redis.ts';
import { withServers } from '../supervisor/home.ts';
import type { Urls } from '../supervisor/plans.ts';
import { Failure, exitCodes } from './exit.ts';

export interface Servers {
  redis: Redis;
  sql: Sql;
}

/** Runs an action with both clients, as the application role, without a limit on statement time. */
export function withRunningServers<T>(action: (servers: Servers) => Promise<T>): Promise<T> {
  return withServersAt(withServers(readConfig(process.env)), action);
}

/** The same for servers that are known already. */
export async function withServersAt<T>(
  { databaseUrl, redisUrl }: Urls,
  action: (servers: Servers) => Promise<T>,
): Promise<T> {
  const redis = producerClient(redisUrl, 'cli');
  const sql = connectPostgres(databaseUrl, { max: 2, name: 'cli', statementTimeoutMs: 0 });
  try {
    await redisReady(redis).catch((error: unknown) => {
      throw new Failure(`${String(error)}; is "tallyrace up" running?`, exitCodes.unavailable);
    });
    return await action({ redis, sql });
  } finally {
    redis.disconnect();
    await sql.end({ timeout: 2 });
  }
}

/** Who acts, for the audit log. */
export function actor(): string {
  return `cli:${userInfo().username}`;
}
