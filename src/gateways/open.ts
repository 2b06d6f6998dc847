// The gateways of tenants, each with its own account, over connections that all share.
// Invariant: a gateway is made anew when its account has changed.
import type { GatewayName } from '../../schemas/payments.ts';
import type { AccountSecrets } from '../store/gateway-accounts.ts';
import type { GatewayAccounts } from './accounts.ts';
import type { Gateway } from './gateway.ts';
import { Razorpay } from './razorpay.ts';
import { Stripe } from './stripe.ts';

export interface GatewayUrls {
  stripeUrl: string;
  razorpayUrl: string;
}

/** Of one request; a call of a lane is several. */
const REQUEST_MS = 8_000;

export function gatewayOpener(accounts: GatewayAccounts, name: GatewayName, urls: GatewayUrls) {
  const opened = new WeakMap<AccountSecrets, Gateway>();
  return async (tenant: number): Promise<Gateway | null> => {
    const secrets = await accounts.secretsOf(tenant, name);
    if (!secrets) return null;
    let gateway = opened.get(secrets);
    if (!gateway) opened.set(secrets, (gateway = make[name](secrets, urls)));
    return gateway;
  };
}

const make: Record<GatewayName, (secrets: AccountSecrets, urls: GatewayUrls) => Gateway> = {
  stripe: ({ credentials }, { stripeUrl: baseUrl }) =>
    new Stripe({ baseUrl, secretKey: credentials['secretKey']!, timeoutMs: REQUEST_MS }),
  razorpay: ({ credentials }, { razorpayUrl: baseUrl }) =>
    new Razorpay({
      baseUrl,
      keyId: credentials['keyId']!,
      keySecret: credentials['keySecret']!,
      email: credentials['email']!,
      contact: credentials['contact']!,
      timeoutMs: REQUEST_MS,
    }),
};
