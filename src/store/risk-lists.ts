// Lists of a tenant: who is let through and who is not, whatever the rules say. Documents, so that
// processes follow them and each has its history.
// Invariant: the value of an address or a token is kept as its hash; an entry that has expired or
// was removed holds no more, and is not shown.
import {
  LISTS_KIND,
  type ListEntry,
  type ListEntryRequest,
  type RiskList,
  type RiskSubject,
} from '../../schemas/risk.ts';
import type { Sql } from '../io/postgres.ts';
import { getDocument, putDocument } from './documents.ts';
import { hashOf, saltOf } from './risk.ts';

/** An entry of a list as it is kept. */
export interface ListBody {
  list: RiskList;
  subject: RiskSubject;
  shown: string;
  reason: string;
  expires_at: string | null;
  added_at: string;
  removed: boolean;
  removed_reason?: string;
}

/** Of one tenant: every process holds all of them in memory. */
export const ENTRIES_MAX = 10_000;

/** Makes or replaces the entry of a value; null where there is no room for another. */
export async function putListEntry(
  sql: Sql,
  tenant: number,
  { list, subject, value, reason, expires_at: expiresAt }: ListEntryRequest,
  actor: string,
): Promise<{ entry: ListEntry; created: boolean } | null> {
  const key = `${list}.${subject}.${hashOf(await saltOf(sql, tenant), subject, value)}`;
  const found = await getDocument<ListBody>(sql, tenant, LISTS_KIND, key);
  const created = !found || !isInForce(found.body, Date.now());
  if (created && (await entriesOf(sql, tenant)) >= ENTRIES_MAX) return null;
  const body: ListBody = {
    list,
    subject,
    shown: shownOf(subject, value),
    reason,
    expires_at: expiresAt ?? null,
    added_at: new Date().toISOString(),
    removed: false,
  };
  await putDocument(sql, tenant, LISTS_KIND, key, body, actor);
  return { entry: entryOf(key, body), created };
}

async function entriesOf(sql: Sql, tenant: number): Promise<number> {
  const [row] = await sql`select risk_list_size(${tenant}) as entries`;
  return row!['entries'] as number;
}

/** Null when there is none that holds. */
export async function getListEntry(
  sql: Sql,
  tenant: number,
  key: string,
): Promise<ListEntry | null> {
  const found = await getDocument<ListBody>(sql, tenant, LISTS_KIND, key);
  return found && isInForce(found.body, Date.now()) ? entryOf(key, found.body) : null;
}

/** False when there is none that holds. The history of what was there stays. */
export async function removeListEntry(
  sql: Sql,
  tenant: number,
  key: string,
  by: { actor: string; reason: string | undefined },
): Promise<boolean> {
  const found = await getDocument<ListBody>(sql, tenant, LISTS_KIND, key);
  if (!found || !isInForce(found.body, Date.now())) return false;
  const why = by.reason === undefined ? {} : { removed_reason: by.reason };
  await putDocument(
    sql,
    tenant,
    LISTS_KIND,
    key,
    { ...found.body, removed: true, ...why },
    by.actor,
  );
  return true;
}

export async function listEntries(
  sql: Sql,
  tenant: number,
  { after, limit }: { after: string; limit: number },
): Promise<ListEntry[]> {
  const rows = await sql`select * from risk_list_page(${tenant}, ${after}, ${limit})`;
  return rows.map((row) => entryOf(row['key'] as string, row['body'] as ListBody));
}

export function isInForce({ removed, expires_at: expiresAt }: ListBody, nowMs: number): boolean {
  return !removed && (expiresAt === null || Date.parse(expiresAt) > nowMs);
}

function entryOf(id: string, body: ListBody): ListEntry {
  const { list, subject, shown, reason, expires_at, added_at } = body;
  return { id, list, subject, value: shown, reason, expires_at, added_at };
}

/** Ids are the tenant's own words; addresses and tokens are shown in part. */
function shownOf(subject: RiskSubject, value: string): string {
  if (subject === 'token') return `…${value.slice(-4)}`;
  return subject === 'ip' ? value.replace(/[.:][^.:]*(?:::\/64)?$/, '…') : value;
}
