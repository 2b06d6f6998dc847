// Settings of payments: who calls gateways, where these are, what their secrets are sealed with.
import { type Network, networksOf } from './io/private-address.ts';
import { type Setting, Wrong, choice, integer, origin, sealingKey } from './setting.ts';

const webhooksPrivateAllowed: Setting<readonly Network[]> = {
  name: 'WEBHOOKS_PRIVATE_ALLOWED',
  about: "private networks that tenants' webhooks may go to, over http too: 10.1.0.0/16,fd00::/8",
  standard: '',
  parse(text) {
    const networks = text === '' ? [] : networksOf(text);
    if (networks) return networks;
    throw new Wrong('must be networks like 10.1.0.0/16, with commas between them');
  },
};

export const paymentSettings = {
  effectsProcesses: integer(
    'EFFECTS_PROCESSES',
    1,
    'processes that call gateways and deliver webhooks',
    [1, 64],
  ),
  secretsKey: sealingKey(
    'TALLYRACE_SECRETS_KEY',
    'encrypts tenants\' secrets of gateways; "openssl rand -base64 32" makes one',
  ),
  secretsKeyPrevious: sealingKey(
    'TALLYRACE_SECRETS_KEY_PREVIOUS',
    'the key before it, until "tallyrace gateways rotate-key" has run',
  ),
  stripeUrl: origin('STRIPE_URL', 'https://api.stripe.com', 'where Stripe, or its sandbox, is'),
  razorpayUrl: origin('RAZORPAY_URL', 'https://api.razorpay.com', 'the same of Razorpay'),
  sandbox: choice(
    'SANDBOX',
    'on',
    'whether "tallyrace up" starts sandbox gateways, and payments go to them',
    ['on', 'off'],
  ),
  sandboxPort: integer(
    'SANDBOX_PORT',
    3010,
    'TCP port of the sandbox gateways, and the two after it',
    [0, 65_533],
  ),
  webhooksPrivateAllowed,
};
