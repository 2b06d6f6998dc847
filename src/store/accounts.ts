// Reads of balances and entries from Postgres, and of balances through the cache.
import type { BalanceCache, UnitBalance } from '../cache/balances.ts';
import type { Sql } from '../io/postgres.ts';
import { accountKey } from '../ledger/identity.ts';

export interface StoredEntry {
  sequence: number;
  posted_at: Date;
  amount: number;
  balance_after: number;
  transaction_id: string;
  event_id: string;
  event_type: string;
}

/** The balance of an account in each of its units; empty for an account that does not exist. */
export async function accountBalances(
  sql: Sql,
  tenant: number,
  account: string,
): Promise<UnitBalance[]> {
  const rows = await sql`select * from account_balances(${tenant}, ${account})`;
  return rows.map((row) => ({
    unit: row['unit'] as string,
    balance: Number(row['balance']),
    sequence: Number(row['sequence']),
  }));
}

/** The same through the cache; Redis being away costs a query, not an answer. */
export async function cachedBalances(
  cache: BalanceCache,
  sql: Sql,
  tenant: number,
  account: string,
): Promise<UnitBalance[]> {
  const cached = await cache.get(tenant, account).catch(() => null);
  if (Array.isArray(cached)) return cached;
  const balances = await accountBalances(sql, tenant, account);
  if (cached) await cache.fill(tenant, account, balances, cached.claim).catch(() => {});
  return balances;
}

/** Entries of an account in one unit, newest first, with a sequence below `before`. */
export async function accountEntries(
  sql: Sql,
  tenant: number,
  account: { account: string; unit: string },
  page: { before: number; limit: number },
): Promise<StoredEntry[]> {
  const key = accountKey(tenant, account.account, account.unit);
  const rows = await sql`
    select * from account_entries(${tenant}, ${key}::text::uuid,
      ${String(page.before)}::text::bigint, ${page.limit})`;
  return rows.map((row) => ({
    sequence: Number(row['sequence']),
    posted_at: row['posted_at'] as Date,
    amount: Number(row['amount']),
    balance_after: Number(row['balance_after']),
    transaction_id: transactionId(row['event_key'] as string),
    event_id: row['event_id'] as string,
    event_type: row['event_type'] as string,
  }));
}

/** An event has one transaction, so the one names the other. Takes the key with or without dashes. */
export function transactionId(eventKey: string): string {
  return `txn_${eventKey.replaceAll('-', '')}`;
}
