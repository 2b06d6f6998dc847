// What the ingress asks Postgres for on behalf of its door: keys by hash, and tenants' own limits.
import type { Key, ResolveKeys } from '../cache/keys.ts';
import type { Sql } from '../io/postgres.ts';
import { textArray } from './columns.ts';

export function keyResolver(sql: Sql): ResolveKeys {
  return async (hashes) => {
    const rows = await sql`select * from system_resolve_keys(${textArray(hashes)}::text::text[])`;
    return new Map(
      rows.map((row) => {
        const key: Key = {
          id: row['id'] as string,
          tenant: row['tenant_id'] as number,
          scopes: new Set((row['scopes'] as string).split(' ')),
          publishable: row['publishable'] as boolean,
          limits: row['limits'] as object,
        };
        return [row['hash'] as string, key];
      }),
    );
  };
}

export async function limitsOf(sql: Sql, tenant: number): Promise<object> {
  const [row] = await sql`select limits_get(${tenant}) as limits`;
  return row!['limits'] as object;
}

/** Null: unlimited. Takes effect with the next look at the tenant's keys, within 2 s. */
export async function putLimits(
  sql: Sql,
  tenant: number,
  policy: string,
  quotas: object | null,
  actor: string,
): Promise<void> {
  const text = JSON.stringify(quotas);
  await sql`select system_limits_put(${tenant}, ${policy}, ${text}::text::jsonb, ${actor})`;
}
