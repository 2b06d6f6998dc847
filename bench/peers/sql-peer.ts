// What the peers made of SQL share: a bare HTTP server that takes POST /transfers and answers 201
// after the commit, over a pool of connections.
import { cpus } from 'node:os';
import postgres, { type Sql } from 'postgres';
import { type Peer, type Running, USERS, type Way, emptyDatabase, launch } from './peer.ts';
import type { Transfer } from './work.ts';

export interface SqlPeer {
  name: string;
  version: string;
  /** The file that serves when it is run. */
  program: string;
  ways: Way[];
  prepare(sql: Sql, accounts: number): Promise<void>;
  /** Gives one row with the number of `entries`. */
  entries: string;
}

type Post = (transfers: readonly (Transfer & { amount: number })[]) => Promise<void>;

export type Posting = (sql: Sql) => Post | Promise<Post>;

/** As Postgres' wiki counts: twice the cores and the disk, but enough to share an fsync. */
const POOL = Number(process.env['POOL'] ?? Math.max(16, cpus().length * 2 + 1));

export function sqlPeer({ name, version, program, ways, prepare, entries }: SqlPeer): Peer {
  const start = async (): Promise<Running> => {
    const database = await emptyDatabase();
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    try {
      await prepare(sql, USERS);
      const environment = { DATABASE_URL: database.url, POOL: String(POOL) };
      const server = await launch([process.execPath, program], environment);
      return {
        url: server.url,
        pids: { server: server.pid, postgres: database.pid },
        entries: async () => (await sql.unsafe<{ entries: number }[]>(entries))[0]!.entries,
        analyze: () => sql`vacuum analyze`,
        settled: () => Promise.resolve(),
        close: async () => {
          await server.stop();
          await sql.end({ timeout: 2 });
          await database.close();
        },
      };
    } catch (error) {
      await sql.end({ timeout: 2 });
      await database.close();
      throw error;
    }
  };
  return { name, version, ways, start };
}

export async function serveSql(posting: Posting): Promise<void> {
  const sql = postgres(process.env['DATABASE_URL']!, { max: POOL, onnotice: () => {} });
  const post = await posting(sql);
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    async fetch(request) {
      try {
        await post((await request.json()) as (Transfer & { amount: number })[]);
        return new Response('{}', { status: 201 });
      } catch (error) {
        return new Response(String(error), { status: 500 });
      }
    },
  });
  console.log(server.port);
}
