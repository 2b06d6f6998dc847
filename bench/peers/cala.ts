// cala-ledger, a Rust library, behind the server in cala/. Account 0 comes in two forms: its
// balance kept by every posting, or afterwards by cala's own rollup, as cala advises for an account
// that is only ever the other side.
import postgres from 'postgres';
import { type Peer, type Running, USERS, emptyDatabase, launch } from './peer.ts';

const POOL = 16;

export function cala(binary: string, eventual: boolean): Peer {
  // Postings that share no lock gain from more of them at once.
  const single = { hot: eventual ? 64 : 4, spread: 32 };
  return {
    name: eventual ? 'cala-rollup' : 'cala',
    version: 'cala-ledger 0.33.3',
    ways: [
      { name: 'single', batch: 1, connections: single, dialect: 'transfers' },
      {
        name: 'batches of 100',
        batch: 100,
        connections: { hot: 4, spread: 8 },
        dialect: 'transfers',
      },
    ],
    start: () => start(binary, eventual),
  };
}

async function start(binary: string, eventual: boolean): Promise<Running> {
  const database = await emptyDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  const environment = {
    DATABASE_URL: database.url,
    POOL: process.env['POOL'] ?? String(POOL),
    ACCOUNTS: String(USERS),
    ...(eventual ? { EVENTUAL: '1' } : {}),
  };
  const close = async (): Promise<void> => {
    await sql.end({ timeout: 2 });
    await database.close();
  };
  try {
    const server = await launch([binary], environment);
    return {
      url: server.url,
      pids: { server: server.pid, postgres: database.pid },
      entries: async () => {
        const [row] = await sql`select count(*)::int as entries from cala_entries`;
        return (row as { entries: number }).entries;
      },
      analyze: () => sql`vacuum analyze`,
      settled: () => Promise.resolve(),
      close: async () => {
        await server.stop();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
