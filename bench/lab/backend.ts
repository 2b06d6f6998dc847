// One connection to Postgres, which is one process of it, and what that process has used.
// Invariant: what is counted is this connection's own, whatever other connections do beside it.
import { readFileSync } from 'node:fs';
import { APP_ROLE, type Sql, connectPostgres } from '../../src/io/postgres.ts';

/** Written ahead since the connection was made. */
export interface Wal {
  bytes: number;
  records: number;
  pages: number;
}

export interface Backend {
  sql: Sql;
  /** CPU that the server's process has used. */
  cpuMs(): number;
  wal(): Promise<Wal>;
  end(): Promise<void>;
}

/** Settings are the session's; what only a superuser may set is set before the role is taken. */
export async function connectBackend(
  url: string,
  settings: Record<string, string>,
): Promise<Backend> {
  const sql = connectPostgres(url, { max: 1, name: 'laboratory', asOwner: true });
  for (const [name, value] of Object.entries(settings))
    await sql.unsafe(`set ${name} = '${value}'`);
  await sql.unsafe(`set role ${APP_ROLE}`);
  const [self] = await sql<{ pid: number; version: number }[]>`
    select pg_backend_pid() as pid, current_setting('server_version_num')::int as version`;
  const { pid, version } = self!;
  // Counted per connection from Postgres 18 on; before, of the whole server.
  const wal = version >= 180_000 ? `pg_stat_get_backend_wal(${pid})` : 'pg_stat_wal';
  return {
    sql,
    cpuMs: () => cpuMsOf(pid),
    async wal() {
      await sql`select pg_stat_force_next_flush()`;
      const [row] = await sql.unsafe(
        `select wal_bytes::float8 as bytes, wal_records::float8 as records,
                wal_fpi::float8 as pages from ${wal}`,
      );
      return row as unknown as Wal;
    },
    end: () => sql.end({ timeout: 2 }),
  };
}

/** Linux counts nanoseconds on a processor here; its ticks elsewhere are 10 ms. */
function cpuMsOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
}
