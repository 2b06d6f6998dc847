// API keys as the command line makes, lists and revokes them. Runs as the owner of the database.
// Invariant: a key is shown once and stored as its SHA-256; every change is in the audit log.
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Sql } from '../io/postgres.ts';
import { textArray } from './columns.ts';

export type KeyKind = 'live' | 'test' | 'pub';

export interface NewKey {
  tenant: string;
  name: string;
  scopes: readonly string[];
  /** The key itself; made by newKey, or given by the user. */
  key: string;
  actor: string;
}

export interface KeyRow {
  id: string;
  tenant: string;
  name: string;
  /** The first letters and the last four, to tell keys apart. */
  shown: string;
  scopes: string[];
  publishable: boolean;
  created_at: string;
  revoked_at: string | null;
}

const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_LETTERS = 32;
const CHECKSUM_LETTERS = 6;

/** `tr_live_`, 190 random bits, and a checksum by which scanners tell a key from other text. */
export function newKey(kind: KeyKind): string {
  const body = `tr_${kind}_${randomLetters(RANDOM_LETTERS)}`;
  return body + checksum(body);
}

export function hasValidChecksum(key: string): boolean {
  return checksum(key.slice(0, -CHECKSUM_LETTERS)) === key.slice(-CHECKSUM_LETTERS);
}

function randomLetters(count: number): string {
  let made = '';
  // Bytes above the largest multiple of 62 are thrown away, so that every letter is as likely.
  while (made.length < count)
    for (const byte of randomBytes(count))
      if (byte < 248 && made.length < count) made += letters[byte % 62];
  return made;
}

function checksum(text: string): string {
  let rest = crc32(text);
  let made = '';
  for (let i = 0; i < CHECKSUM_LETTERS; i++) {
    made = letters[rest % 62] + made;
    rest = Math.floor(rest / 62);
  }
  return made;
}

/** Makes the tenant when it is not there; settings of one that is there stay as they are. */
export async function ensureTenant(sql: Sql, name: string, settings: object): Promise<void> {
  await sql`
    insert into tenants (name, settings) values (${name}, ${JSON.stringify(settings)}::text::jsonb)
    on conflict (name) do nothing`;
}

/** Null when there is no such tenant. One statement: key and audit entry, or neither. */
export async function createKey(sql: Sql, made: NewKey): Promise<string | null> {
  const { tenant, name, scopes, key, actor } = made;
  const [row] = await sql<{ id: string }[]>`
    with made as (
      insert into api_keys (tenant_id, name, prefix, last4, hash, scopes, publishable)
      select id, ${name}, ${key.slice(0, 12)}, ${key.slice(-4)}, decode(${hashOf(key)}, 'hex'),
             ${textArray(scopes)}::text::text[], ${key.startsWith('tr_pub_')}
      from tenants where tenants.name = ${tenant}
      returning id, tenant_id, scopes
    ), audited as (
      insert into audit_log (tenant_id, actor, action, subject, detail)
      select tenant_id, ${actor}, 'key.created', id::text,
             jsonb_build_object('name', ${name}::text, 'scopes', scopes)
      from made
    )
    select id::text from made`;
  return row?.id ?? null;
}

export async function listKeys(sql: Sql, tenant: string | null): Promise<KeyRow[]> {
  return sql<KeyRow[]>`
    select k.id::text, t.name as tenant, k.name, k.prefix || '…' || k.last4 as shown,
           to_json(k.scopes)::jsonb as scopes, k.publishable, k.created_at::text,
           k.revoked_at::text
    from api_keys k join tenants t on t.id = k.tenant_id
    where ${tenant}::text is null or t.name = ${tenant}
    order by t.name, k.created_at, k.id`;
}

/** False when there is no such key, or it is revoked already. Holds everywhere within 2 s. */
export async function revokeKey(sql: Sql, id: string, actor: string): Promise<boolean> {
  const rows = await sql`
    with revoked as (
      update api_keys set revoked_at = now() where id::text = ${id} and revoked_at is null
      returning id, tenant_id, name
    ), audited as (
      insert into audit_log (tenant_id, actor, action, subject, detail)
      select tenant_id, ${actor}, 'key.revoked', id::text, jsonb_build_object('name', name)
      from revoked
    )
    select id from revoked`;
  return rows.length > 0;
}

/** Whose key it is and whether it was revoked; null when it is not known. */
export async function findKey(
  sql: Sql,
  key: string,
): Promise<{ tenant: string; revoked: boolean } | null> {
  const [row] = await sql<{ tenant: string; revoked: boolean }[]>`
    select t.name as tenant, k.revoked_at is not null as revoked
    from api_keys k join tenants t on t.id = k.tenant_id
    where k.hash = decode(${hashOf(key)}, 'hex')`;
  return row ?? null;
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
