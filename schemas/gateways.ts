// Accounts with gateways and the routing between them, as tenants set them. Secrets go in and never
// come out: of each, the last four characters are shown.
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { GatewayName, MethodType } from './payments.ts';
import { AMOUNT_MAX, Currency, Time, closed, nullable } from './primitives.ts';

/** What HTTP headers can carry; no spaces, so that a copied line break is refused. */
const Secret = (description: string) =>
  Type.String({ minLength: 8, maxLength: 255, pattern: '^[\\x21-\\x7e]+$', description });

export const StripeAccount = closed({
  secret_key: Secret('`sk_live_…`, `sk_test_…` or a restricted key.'),
  webhook_secret: Secret('`whsec_…` of the endpoint.'),
});
export type StripeAccount = Static<typeof StripeAccount>;

export const RazorpayAccount = closed({
  key_id: Secret('`rzp_live_…` or `rzp_test_…`.'),
  key_secret: Secret('The secret of the key.'),
  webhook_secret: Secret('The secret of the webhook.'),
  email: Type.String({
    ...{ minLength: 3, maxLength: 120, pattern: '^[\\x21-\\x7e]+@[\\x21-\\x7e]+$' },
    description: 'Razorpay wants an address of every buyer; this one is given.',
  }),
  contact: Type.String({
    pattern: '^\\+?[0-9]{8,14}$',
    description: 'Likewise, a telephone number.',
  }),
});
export type RazorpayAccount = Static<typeof RazorpayAccount>;

export const GatewayAccount = closed({
  gateway: GatewayName,
  secret_key: Type.String({ description: 'The last four characters.', examples: ['…4242'] }),
  webhook_secret: Type.String({ description: 'The last four characters.' }),
  previous_webhook_secret_until: nullable(Time),
  webhook_path: Type.String({ description: 'Where the gateway is to send its webhooks.' }),
  changed_at: Time,
});
export type GatewayAccount = Static<typeof GatewayAccount>;

/** The kind of the document that says how a tenant's payments are routed. */
export const ROUTING_KIND = 'gateway_routing';

const Weight = Type.Integer({ minimum: 0, maximum: 1_000 });
export const Weights = closed(
  { stripe: Type.Optional(Weight), razorpay: Type.Optional(Weight) },
  { description: 'Shares of the payments. One that is left out or 0 is for failover only.' },
);

const amount = Type.Optional(Type.Integer({ minimum: 0, maximum: AMOUNT_MAX }));
const list = <T extends TSchema>(item: T) => Type.Array(item, { minItems: 1, maxItems: 50 });

export const RoutingRule = closed(
  {
    method_types: Type.Optional(list(MethodType)),
    currencies: Type.Optional(list(Currency)),
    amount_min: amount,
    amount_max: amount,
    weights: Weights,
  },
  { description: 'Holds for a payment that is all of what it names. Amounts in minor units.' },
);

export const GatewayRouting = closed({
  weights: Weights,
  rules: Type.Optional(Type.Array(RoutingRule, { maxItems: 50 })),
  failover: Type.Optional(
    Type.Array(words('stripe', 'razorpay'), {
      maxItems: 2,
      uniqueItems: true,
      description: 'Who is tried after the chosen one, first to last. Default: every other.',
    }),
  ),
});
export type GatewayRouting = Static<typeof GatewayRouting>;
