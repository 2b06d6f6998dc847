// pgledger: a ledger that is SQL functions, which the application calls. Run as a program it is the
// server. It has no reference that would make a transfer unique; that work it is spared.
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { type Posting, serveSql, sqlPeer } from './sql-peer.ts';
import type { Peer } from './peer.ts';

/** `folder` holds pgledger.sql and uuid-to-ulid.sql of scoville/pgsql-ulid. */
export function pgledger(folder: string): Peer {
  return sqlPeer({
    name: 'pgledger',
    version: 'commit 9353665',
    program: import.meta.path,
    ways: [
      { name: 'single', batch: 1, connections: { hot: 4, spread: 32 }, dialect: 'transfers' },
      {
        name: 'batches of 100',
        batch: 100,
        connections: { hot: 2, spread: 8 },
        dialect: 'transfers',
      },
    ],
    prepare: (sql, accounts) => prepare(sql, accounts, folder),
    entries: 'select count(*)::int as entries from pgledger_entries',
  });
}

async function prepare(sql: Sql, accounts: number, folder: string): Promise<void> {
  for (const file of ['uuid-to-ulid.sql', 'pgledger.sql'])
    await sql.unsafe(await Bun.file(join(folder, file)).text());
  await sql`
    select count(a.id) from generate_series(0, ${accounts}::int) n,
           pgledger_create_account(n::text, 'USD') a`;
  await sql`analyze pgledger_accounts`;
}

const post: Posting = async (sql) => {
  const rows = await sql<{ id: string; name: string }[]>`select id, name from pgledger_accounts`;
  const ids: string[] = [];
  for (const { id, name } of rows) ids[Number(name)] = id;
  return async (transfers) => {
    if (transfers.length === 1) {
      const { from, to, amount } = transfers[0]!;
      await sql`
        select id from pgledger_create_transfer(${ids[from]!}, ${ids[to]!}, ${amount}::numeric)`;
      return;
    }
    const requests = transfers.map(({ from, to, amount }) => [ids[from], ids[to], amount]);
    await sql`
      select id from pgledger_create_transfers(transfer_requests => array(
        select (r ->> 0, r ->> 1, (r ->> 2)::numeric)::transfer_request
        from jsonb_array_elements(${JSON.stringify(requests)}::text::jsonb) r))`;
  };
};

if (import.meta.main) await serveSql(post);
