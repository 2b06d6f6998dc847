// The demo tenant's accounts with the sandbox gateways, and their webhooks back to us, so that a
// newcomer's payment goes through.
// Invariant: what somebody has set himself stays as it is, accounts and webhooks alike.
import type { Settings } from '../gateways/sandbox/settings.ts';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import type { Config } from '../config.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import {
  type AccountChange,
  getAccount,
  putAccount,
  razorpayChange,
  stripeChange,
} from '../store/gateway-accounts.ts';
import { type Vault, vaultOf } from '../store/secrets.ts';
import { TENANT } from './demo.ts';
import type { Home } from './home.ts';
import { secretIn } from './secret.ts';

/** What the sandbox signs with until it is told another. */
const WEBHOOK_SECRET = 'whsec_sandbox_secret';

const sandboxAccounts: Record<GatewayName, AccountChange> = {
  stripe: stripeChange({ secret_key: 'sk_test_sandbox', webhook_secret: WEBHOOK_SECRET }),
  razorpay: razorpayChange({
    key_id: 'rzp_test_sandbox',
    key_secret: 'sandbox_secret',
    webhook_secret: WEBHOOK_SECRET,
    email: 'payments@shop.example',
    contact: '+919900000000',
  }),
};

/** Gives where the sandbox is to send each gateway's webhooks. */
export async function demoGateways(
  config: Config,
  databaseUrl: string,
  home: Home,
): Promise<Record<GatewayName, string>> {
  const secretsKey = config.secretsKey ?? secretIn(home.secretsKey, 32);
  const vault = (await vaultOf({ ...config, secretsKey }))!;
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'supervisor', asOwner: true });
  try {
    return await ensureDemoGateways(sql, vault, TENANT);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** As the owner of the database. Gives where the sandbox is to send each gateway's webhooks. */
export async function ensureDemoGateways(
  sql: Sql,
  vault: Vault,
  tenantName: string,
): Promise<Record<GatewayName, string>> {
  const [row] = await sql`select id from tenants where name = ${tenantName}`;
  const tenant = row!['id'] as number;
  const pathOf = async (name: GatewayName): Promise<string> => {
    const target = { tenant, name, actor: 'supervisor' };
    const account =
      (await getAccount(sql, tenant, name)) ??
      (await putAccount(sql, vault, target, sandboxAccounts[name])).body;
    return `/v1/webhooks/${name}/${account.endpoint}`;
  };
  const paths = await Promise.all(gatewayNames.map(pathOf));
  return { stripe: paths[0]!, razorpay: paths[1]! };
}

/** Points the webhooks of the running sandbox at us; the port may be another than last time. */
export async function aimSandbox(
  control: string,
  ourUrl: string,
  paths: Record<GatewayName, string>,
): Promise<void> {
  const settings = (await (await fetch(`${control}/settings`)).json()) as Settings;
  const change: Partial<Record<GatewayName, object>> = {};
  for (const name of gatewayNames) {
    const { url } = settings[name].webhook;
    if (url === null || new URL(url).pathname === paths[name])
      change[name] = { webhook: { url: `${ourUrl}${paths[name]}` } };
  }
  const body = JSON.stringify(change);
  const answer = await fetch(`${control}/settings`, { method: 'PATCH', body });
  if (!answer.ok) throw new Error(`the sandbox refuses its settings: ${await answer.text()}`);
}
