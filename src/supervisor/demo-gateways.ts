// The demo tenant's accounts with the sandbox gateways, so that a newcomer's payment goes through.
// Invariant: an account that is there stays as it is: somebody may have set his own.
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import type { Sql } from '../io/postgres.ts';
import {
  type AccountChange,
  getAccount,
  putAccount,
  razorpayChange,
  stripeChange,
} from '../store/gateway-accounts.ts';
import type { Vault } from '../store/secrets.ts';

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
