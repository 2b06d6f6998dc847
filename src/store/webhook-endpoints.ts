// Endpoints of tenants for webhooks, with the secrets that sign what is sent to them.
// Invariant: a secret is given out once, when it is made; it lies sealed, bound to its endpoint.
import type { Sql } from '../io/postgres.ts';
import type { Endpoint, EndpointChange } from '../../schemas/webhook-endpoints.ts';
import type { Sealed, Vault } from './secrets.ts';

/** As sealed: the secret before it signs too, until its time is over. */
export interface SigningSecrets {
  secret: string;
  previous: { secret: string; until: string } | null;
}

export interface StoredEndpoint {
  sealed: Sealed;
  version: number;
  shown: Endpoint;
}

export interface EndpointName {
  tenant: number;
  /** `whe_…` */
  id: string;
}

/** Bounds what one event of a tenant costs us. */
export const ENDPOINTS_MAX = 16;
const TRIES_MAX = 5;

/** Null when the tenant has as many as it may have. */
export async function createEndpoint(
  sql: Sql,
  vault: Vault,
  { tenant, actor }: { tenant: number; actor: string },
  given: Pick<EndpointChange, 'url' | 'event_types' | 'description'>,
): Promise<{ endpoint: Endpoint; secret: string } | null> {
  const id = `whe_${Bun.randomUUIDv7()}`;
  const secret = newSecret();
  const { keyId, box } = await seal(vault, { tenant, id }, { secret, previous: null });
  const types = JSON.stringify(given.event_types);
  const [row] = await sql`
    select webhook_endpoint_create(${tenant}, ${uuidOf(id)}, ${given.url}, ${types}::text::jsonb,
      ${given.description}, ${keyId}, ${box}, ${ENDPOINTS_MAX}, ${actor}) as made`;
  if (!row!['made']) return null;
  const stored = await getEndpoint(sql, { tenant, id });
  return stored && { endpoint: stored.shown, secret };
}

export async function getEndpoint(
  sql: Sql,
  { tenant, id }: EndpointName,
): Promise<StoredEndpoint | null> {
  const [row] = await sql`select * from webhook_endpoint_get(${tenant}, ${uuidOf(id)})`;
  return row ? storedOf(row) : null;
}

/** Oldest first, after the id `after`. */
export async function listEndpoints(
  sql: Sql,
  tenant: number,
  { after, limit }: { after: string | null; limit: number },
): Promise<Endpoint[]> {
  const seen = after && uuidOf(after);
  const rows = await sql`select * from webhook_endpoints_list(${tenant}, ${seen}, ${limit})`;
  return rows.map((row) => storedOf(row).shown);
}

export async function changeEndpoint(
  sql: Sql,
  { tenant, id }: EndpointName,
  given: EndpointChange,
  actor: string,
): Promise<Endpoint | null> {
  const types = JSON.stringify(given.event_types);
  const [row] = await sql`
    select * from webhook_endpoint_change(${tenant}, ${uuidOf(id)}, ${given.url},
      ${types}::text::jsonb, ${given.description}, ${given.status}, ${actor})`;
  return row ? storedOf(row).shown : null;
}

export async function deleteEndpoint(
  sql: Sql,
  { tenant, id }: EndpointName,
  actor: string,
): Promise<boolean> {
  const [row] = await sql`
    select webhook_endpoint_delete(${tenant}, ${uuidOf(id)}, ${actor}) as deleted`;
  return row!['deleted'] as boolean;
}

/** A new secret; the present one signs beside it for `overlapMs`. One that was still signing as
 * the one before does no longer: at most two are sent. */
export async function rotateSecret(
  sql: Sql,
  vault: Vault,
  name: EndpointName,
  { overlapMs, actor }: { overlapMs: number; actor: string },
): Promise<{ endpoint: Endpoint; secret: string } | null> {
  const { tenant, id } = name;
  for (let tries = 1; tries <= TRIES_MAX; tries++) {
    const found = await getEndpoint(sql, name);
    if (!found) return null;
    const known = await openSecrets(vault, name, found.sealed);
    const until = overlapMs === 0 ? null : new Date(Date.now() + overlapMs).toISOString();
    const secret = newSecret();
    const previous = until === null ? null : { secret: known.secret, until };
    const { keyId, box } = await seal(vault, name, { secret, previous });
    const [row] = await sql`
      select * from webhook_endpoint_rotate(${tenant}, ${uuidOf(id)}, ${found.version}, ${keyId},
        ${box}, ${until}::text::timestamptz, ${actor})`;
    if (row) return { endpoint: storedOf(row).shown, secret };
  }
  throw new Error('the secret of a webhook endpoint is being changed by too many at once');
}

export async function openSecrets(
  vault: Vault,
  name: EndpointName,
  sealed: Sealed,
): Promise<SigningSecrets> {
  return JSON.parse(await vault.open(ownerOf(name), sealed)) as SigningSecrets;
}

/** For the command line, as the owner: seals again what older keys sealed. Gives how many. */
export async function sealEndpointsAnew(sql: Sql, vault: Vault): Promise<number> {
  const rows = await sql`
    select id, tenant_id, version, key_id, box from webhook_endpoints
    where key_id <> ${vault.keyId}`;
  let count = 0;
  for (const row of rows) {
    const name = { tenant: row['tenant_id'] as number, id: `whe_${row['id'] as string}` };
    const old = { keyId: row['key_id'] as string, box: row['box'] as string };
    const { keyId, box } = await seal(vault, name, await openSecrets(vault, name, old));
    const { count: changed } = await sql`
      update webhook_endpoints set key_id = ${keyId}, box = ${box}
      where id = ${row['id'] as string} and version = ${row['version'] as number}`;
    count += changed;
  }
  return count;
}

export function uuidOf(id: string): string {
  return id.slice(4);
}

function seal(vault: Vault, name: EndpointName, secrets: SigningSecrets): Promise<Sealed> {
  return vault.seal(ownerOf(name), JSON.stringify(secrets));
}

function ownerOf({ tenant, id }: EndpointName): string {
  return `webhook:${tenant}:${id}`;
}

/** 256 bits, in the form of Standard Webhooks. */
function newSecret(): string {
  return `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64')}`;
}

function storedOf(row: Record<string, unknown>): StoredEndpoint {
  const until = row['previous_secret_until'] as Date | null;
  return {
    sealed: { keyId: row['key_id'] as string, box: row['box'] as string },
    version: row['version'] as number,
    shown: {
      id: `whe_${row['id'] as string}`,
      url: row['url'] as string,
      event_types: row['event_types'] as Endpoint['event_types'],
      description: row['description'] as string,
      status: row['status'] as Endpoint['status'],
      disabled_reason: row['disabled_reason'] as Endpoint['disabled_reason'],
      failing_since: timeOf(row['failing_since']),
      previous_secret_until: until && until.getTime() > Date.now() ? until.toISOString() : null,
      created_at: timeOf(row['created_at'])!,
      updated_at: timeOf(row['updated_at'])!,
    },
  };
}

function timeOf(value: unknown): string | null {
  return value === null ? null : (value as Date).toISOString();
}
