// The ledger that is written at home: one Postgres transaction an event, one statement a step. Run
// as a program it is the server; see sql-peer.ts for what both SQL peers share.
import type { Sql } from 'postgres';
import { type Posting, serveSql, sqlPeer } from './sql-peer.ts';
import type { Peer } from './peer.ts';

export function textbook(): Peer {
  return sqlPeer({
    name: 'home-made',
    version: 'postgres.js, one transaction an event',
    program: import.meta.path,
    ways: [{ name: 'single', batch: 1, connections: { hot: 4, spread: 32 }, dialect: 'transfers' }],
    prepare,
    entries: 'select count(*)::int as entries from entries',
  });
}

async function prepare(sql: Sql, accounts: number): Promise<void> {
  await sql.unsafe(`
    create table accounts (id int primary key, balance bigint not null) with (fillfactor = 70);
    create table references_seen (reference text primary key, at timestamptz default now());
    create table entries (
      id bigint generated always as identity primary key,
      account_id int not null, reference text not null, amount bigint not null,
      balance_after bigint not null, at timestamptz default now());
    create index on entries (account_id, id);
    insert into accounts select n, 0 from generate_series(0, ${accounts}) n;
    analyze accounts`);
}

/** The platform's row is locked last, and for the shortest time; higher numbers go first. */
const post: Posting = (sql) => async (transfers) => {
  const { reference, from, to, amount } = transfers[0]!;
  const legs = [
    { account: from, change: -amount },
    { account: to, change: amount },
  ].sort((a, b) => b.account - a.account);
  await sql.begin(async (transaction) => {
    await transaction`insert into references_seen (reference) values (${reference})`;
    for (const { account, change } of legs) {
      const [row] = await transaction<{ balance: string }[]>`
        update accounts set balance = balance + ${change} where id = ${account} returning balance`;
      await transaction`
        insert into entries (account_id, reference, amount, balance_after)
        values (${account}, ${reference}, ${change}, ${row!.balance})`;
    }
  });
};

if (import.meta.main) await serveSql(post);
