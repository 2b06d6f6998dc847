// Databases of a laboratory: a template with everything that a ledger has after a while, and copies
// of it, one for each variant. Invariant: a copy is independent, so variants share no page.
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { textArray } from '../../src/store/columns.ts';
import { accountColumns, streams } from './decided.ts';

/** The streams are known, and every account is there. */
export async function openTemplate(admin: Sql, databaseUrl: string, name: string): Promise<string> {
  const url = await copyDatabase(admin, databaseUrl, name);
  await asOwner(url, async (owner) => {
    await owner`insert into tenants (name) values ('laboratory')`;
    await owner`insert into streams (stream, epoch)
                select unnest(${textArray(streams)}::text::text[]), 1`;
    await owner.unsafe(
      `insert into balances (account_key, balance, sequence, floor, tenant_id, account, unit)
       select * from unnest($1::text::uuid[], $2::text::bigint[], $2::text::bigint[],
         $3::text::bigint[], $4::text::int[], $5::text::text[], $6::text::text[])`,
      accountColumns(),
    );
    await owner`vacuum analyze balances`;
  });
  return url;
}

export async function copyDatabase(admin: Sql, of: string, name: string): Promise<string> {
  const url = new URL(of);
  await admin.unsafe(`create database ${name} template ${url.pathname.slice(1)}`);
  url.pathname = name;
  return url.href;
}

export async function asOwner<Result>(
  url: string,
  use: (owner: Sql) => Promise<Result>,
): Promise<Result> {
  const owner = connectPostgres(url, { max: 1, name: 'laboratory', asOwner: true });
  try {
    return await use(owner);
  } finally {
    await owner.end({ timeout: 2 });
  }
}
