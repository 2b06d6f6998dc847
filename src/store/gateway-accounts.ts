// Accounts with gateways as they are stored: what may be seen as a document, which processes
// follow, and the secrets sealed beside it, in one transaction.
// Invariant: a secret is readable in the memory of a process that needs it, and nowhere else; a
// change made from an older state than the present one is made anew, so none is lost.
import type { RazorpayAccount, StripeAccount } from '../../schemas/gateways.ts';
import type { GatewayName } from '../../schemas/payments.ts';
import type { Sql } from '../io/postgres.ts';
import { type Document, getDocument } from './documents.ts';
import type { Vault } from './secrets.ts';

export const GATEWAYS_KIND = 'gateways';

/** What may be seen. */
export interface AccountBody {
  /** Unguessable; names the account in the path of its webhooks. Empty: the account is deleted. */
  endpoint: string;
  secret_key: string;
  webhook_secret: string;
  previous_webhook_secret_until: string | null;
  changed_at: string;
}

/** As sealed. `credentials` are the adapter's own. */
export interface AccountSecrets {
  credentials: Readonly<Record<string, string>>;
  webhookSecret: string;
  previousWebhookSecret: { secret: string; until: string } | null;
}

export interface AccountChange {
  credentials: Readonly<Record<string, string>>;
  /** The one of the credentials that is shown by its last four characters. */
  secretKey: string;
  webhookSecret: string;
}

/** From what a tenant gives, which was checked before. */
export function stripeChange(given: StripeAccount): AccountChange {
  const { secret_key: secretKey, webhook_secret: webhookSecret } = given;
  return { credentials: { secretKey }, secretKey, webhookSecret };
}

export function razorpayChange(given: RazorpayAccount): AccountChange {
  const { key_id: keyId, key_secret: keySecret, webhook_secret: webhookSecret } = given;
  const { email, contact } = given;
  return {
    credentials: { keyId, keySecret, email, contact },
    secretKey: keySecret,
    webhookSecret,
  };
}

/** How long webhooks signed with the secret before the last one are taken. */
const OVERLAP_MS = 24 * 3_600_000;
const TRIES_MAX = 5;

export async function readSecrets(
  sql: Sql,
  vault: Vault,
  tenant: number,
  name: string,
): Promise<AccountSecrets | null> {
  const [row] = await sql`select * from gateway_secrets_get(${tenant}, ${name})`;
  if (!row) return null;
  const sealed = { keyId: row['key_id'] as string, box: row['box'] as string };
  return JSON.parse(await vault.open(ownerOf(tenant, name), sealed)) as AccountSecrets;
}

export async function getAccount(
  sql: Sql,
  tenant: number,
  name: string,
): Promise<AccountBody | null> {
  const found = await getDocument<AccountBody>(sql, tenant, GATEWAYS_KIND, name);
  return found?.body.endpoint ? found.body : null;
}

/** Makes or changes an account. A new webhook secret leaves the old one valid for a day. */
export async function putAccount(
  sql: Sql,
  vault: Vault,
  target: { tenant: number; name: GatewayName; actor: string },
  change: AccountChange,
): Promise<{ body: AccountBody; created: boolean }> {
  const { tenant, name, actor } = target;
  return await untilUncontested(async () => {
    const found = await getDocument<AccountBody>(sql, tenant, GATEWAYS_KIND, name);
    const known = await readSecrets(sql, vault, tenant, name);
    const secrets: AccountSecrets = {
      credentials: change.credentials,
      webhookSecret: change.webhookSecret,
      previousWebhookSecret: previousOf(known, change.webhookSecret),
    };
    const body = bodyOf(found, change, secrets);
    const { keyId, box } = await vault.seal(ownerOf(tenant, name), JSON.stringify(secrets));
    await sql`select gateway_put(${tenant}, ${name}, ${JSON.stringify(body)}::text::jsonb,
      ${found?.version ?? 0}, ${keyId}, ${box}, ${actor})`;
    return { body, created: !found?.body.endpoint };
  });
}

/** False when there is none. Its secrets are gone; its history shows that it was there. */
export async function deleteAccount(
  sql: Sql,
  tenant: number,
  name: string,
  actor: string,
): Promise<boolean> {
  return await untilUncontested(async () => {
    const found = await getDocument<AccountBody>(sql, tenant, GATEWAYS_KIND, name);
    if (!found?.body.endpoint) return false;
    const gone = { ...found.body, endpoint: '', changed_at: new Date().toISOString() };
    await sql`select gateway_put(${tenant}, ${name}, ${JSON.stringify(gone)}::text::jsonb,
      ${found.version}, null, null, ${actor})`;
    return true;
  });
}

async function untilUncontested<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const contested = error instanceof Error && 'code' in error && error.code === 'TR010';
      if (!contested || tries === TRIES_MAX) throw error;
    }
  }
}

function bodyOf(
  found: Document<AccountBody> | null,
  change: AccountChange,
  { previousWebhookSecret }: AccountSecrets,
): AccountBody {
  return {
    endpoint: found?.body.endpoint || `whi_${Buffer.from(randomBytes()).toString('hex')}`,
    secret_key: lastFour(change.secretKey),
    webhook_secret: lastFour(change.webhookSecret),
    previous_webhook_secret_until: previousWebhookSecret?.until ?? null,
    // Never the same twice, so that every change has a version and is seen by all who follow.
    changed_at: new Date().toISOString(),
  };
}

function previousOf(
  known: AccountSecrets | null,
  webhookSecret: string,
): AccountSecrets['previousWebhookSecret'] {
  if (!known) return null;
  const until = new Date(Date.now() + OVERLAP_MS).toISOString();
  if (known.webhookSecret !== webhookSecret) return { secret: known.webhookSecret, until };
  return known.previousWebhookSecret;
}

export function ownerOf(tenant: number, name: string): string {
  return `gateway:${tenant}:${name}`;
}

function lastFour(secret: string): string {
  return `…${secret.slice(-4)}`;
}

function randomBytes(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(20));
}

/** For the command line, as the owner: seals again what older keys sealed. Gives how many. */
export async function sealAnew(sql: Sql, vault: Vault): Promise<number> {
  const rows = await sql`
    select tenant_id, name, key_id, box from gateway_secrets where key_id <> ${vault.keyId}`;
  let count = 0;
  for (const row of rows) {
    const owner = ownerOf(row['tenant_id'] as number, row['name'] as string);
    const old = { keyId: row['key_id'] as string, box: row['box'] as string };
    const { keyId, box } = await vault.seal(owner, await vault.open(owner, old));
    // One that was changed meanwhile is sealed with the present key already, or comes next time.
    const changed = await sql`
      update gateway_secrets set key_id = ${keyId}, box = ${box}
      where tenant_id = ${row['tenant_id'] as number} and name = ${row['name'] as string}
        and box = ${old.box}`;
    count += changed.count;
  }
  return count;
}
