// Postgres clients. Every connection of the application runs as the role `tallyrace_app`, which
// owns nothing and does not bypass row-level security, with timeouts set at connect.
import postgres from 'postgres';

export type Sql = postgres.Sql<{ bigint: bigint }>;

export const APP_ROLE = 'tallyrace_app';
export const SCHEMA = 'tallyrace';

export interface PostgresOptions {
  /** Connections at most. Writers are bounded before the pool, so this may be small. */
  max: number;
  /** Names the process in pg_stat_activity. */
  name: string;
  statementTimeoutMs?: number;
  /** Migrations run as the owner; everything else as the application role. */
  asOwner?: boolean;
}

export function connectPostgres(url: string, options: PostgresOptions): Sql {
  return postgres(url, {
    max: options.max,
    idle_timeout: 0,
    connect_timeout: 5,
    // Seconds before the next attempt. By itself the client waits up to 20 after an outage.
    backoff: (attempts: number) => Math.min(0.05 * 2 ** Math.min(attempts, 5), 1),
    // A fresh connection now and then picks up new settings, and frees a leaking backend.
    max_lifetime: 60 * 60,
    // Without it, each connect costs a query; we pass every array as a text literal and cast it.
    fetch_types: false,
    onnotice: () => {},
    types: { bigint: postgres.BigInt },
    connection: {
      application_name: options.name,
      search_path: SCHEMA,
      TimeZone: 'UTC',
      ...(options.asOwner
        ? {}
        : {
            role: APP_ROLE,
            statement_timeout: options.statementTimeoutMs ?? 30_000,
            lock_timeout: 10_000,
            idle_in_transaction_session_timeout: 10_000,
          }),
    },
  }) as unknown as Sql;
}

export interface DurabilitySetting {
  name: string;
  setting: string;
  safe: boolean;
}

/** Settings of the server by which a crash loses what was committed, or breaks it. */
export async function durabilitySettings(sql: Sql): Promise<DurabilitySetting[]> {
  const rows = await sql<{ name: string; setting: string }[]>`
    select name, setting from pg_settings
    where name in ('fsync', 'synchronous_commit', 'full_page_writes') order by name`;
  return rows.map(({ name, setting }) => ({ name, setting, safe: setting !== 'off' }));
}

/** SQLSTATE of a server error; undefined for a lost connection or anything else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined;
}
