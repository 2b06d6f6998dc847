// Tenants with a key, for tests. Written by SQL, since the command line makes one at a time.
import { createHash, randomBytes } from 'node:crypto';
import type { Sql } from '../src/io/postgres.ts';
import { scopes as everyScope } from '../src/http/route.ts';

export interface TestTenant {
  id: number;
  name: string;
  key: string;
}

/** Thousands of requests come from one address here; limits have tests of their own. */
const UNLIMITED = JSON.stringify({
  limits: { requests: null, redemptions: null, partners: null, payments: null },
});

export async function createTenant(
  owner: Sql,
  name: string,
  scopes: readonly string[] = everyScope,
): Promise<TestTenant> {
  const [row] = await owner<{ id: number }[]>`
    insert into tenants (name, settings) values (${name}, ${UNLIMITED}::text::jsonb)
    on conflict (name) do update set name = excluded.name returning id`;
  const key = await createKey(owner, row!.id, scopes);
  return { id: row!.id, name, key };
}

export async function createKey(
  owner: Sql,
  tenantId: number,
  scopes: readonly string[],
  publishable = false,
): Promise<string> {
  const key = `tr_${publishable ? 'pub' : 'test'}_${randomBytes(19).toString('hex')}`;
  const hash = createHash('sha256').update(key).digest();
  await owner`
    insert into api_keys (tenant_id, name, prefix, last4, hash, scopes, publishable)
    values (${tenantId}, 'test', ${key.slice(0, 12)}, ${key.slice(-4)}, ${hash},
            ${`{${scopes.join(',')}}`}::text[], ${publishable})`;
  return key;
}
