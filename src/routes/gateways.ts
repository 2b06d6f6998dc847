// Accounts with gateways and the routing between them.
// Invariant: a secret goes in and never comes out; a change is in the audit log without it.
import { type TSchema, Type } from '@sinclair/typebox';
import {
  GatewayAccount,
  GatewayRouting,
  ROUTING_KIND,
  RazorpayAccount,
  StripeAccount,
} from '../../schemas/gateways.ts';
import { GatewayName } from '../../schemas/payments.ts';
import { closed } from '../../schemas/primitives.ts';
import { problem } from '../http/problem.ts';
import { type Context, type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { getDocument, listDocuments, putDocument } from '../store/documents.ts';
import {
  type AccountBody,
  type AccountChange,
  GATEWAYS_KIND,
  deleteAccount,
  getAccount,
  putAccount,
  razorpayChange,
  stripeChange,
} from '../store/gateway-accounts.ts';
import type { Vault } from '../store/secrets.ts';

export interface GatewayParts {
  sql: Sql;
  /** Null: no key of secrets is set, so that none can be kept. */
  vault: Vault | null;
}

const ROUTING_KEY = 'default';
const admin = { tag: 'gateways', scope: 'admin', limit: 'requests' } as const;
const params = closed({ name: GatewayName });

const everyone: GatewayRouting = { weights: { stripe: 1, razorpay: 1 } };

export function gatewayRoutes(parts: GatewayParts): Route[] {
  return [
    putStripe(parts),
    putRazorpay(parts),
    getGateway(parts),
    listGateways(parts),
    putRouting(parts),
    getRouting(parts),
    deleteGateway(parts),
  ];
}

function putStripe(parts: GatewayParts): Route {
  const example: StripeAccount = {
    secret_key: 'sk_test_example4242',
    webhook_secret: 'whsec_example_abcd',
  };
  return putRoute('stripe', StripeAccount, example, (context: Context<StripeAccount>) =>
    put(parts, 'stripe', context, stripeChange(context.body)),
  );
}

function putRazorpay(parts: GatewayParts): Route {
  const example: RazorpayAccount = {
    key_id: 'rzp_test_example',
    key_secret: 'example_secret_7890',
    webhook_secret: 'example_webhook_secret',
    email: 'payments@shop.example',
    contact: '+919900000000',
  };
  return putRoute('razorpay', RazorpayAccount, example, (context: Context<RazorpayAccount>) =>
    put(parts, 'razorpay', context, razorpayChange(context.body)),
  );
}

function putRoute<Body extends TSchema>(
  name: GatewayName,
  body: Body,
  example: Route['examples'][number]['body'],
  handler: (context: Context<never>) => ReturnType<Route['handler']>,
): Route {
  return defineRoute({
    ...admin,
    name: `put${name[0]!.toUpperCase()}${name.slice(1)}`,
    method: 'PUT',
    path: `/v1/gateways/${name}`,
    summary: `Set the account with ${name}`,
    description:
      'Secrets are kept encrypted and are never given out again. After a change of the webhook ' +
      'secret, webhooks signed with the one before are taken for another 24 hours.',
    body,
    answers: {
      200: { description: 'Changed.', schema: GatewayAccount },
      201: { description: 'Made.', schema: GatewayAccount },
    },
    problems: [503],
    examples: [
      { name: 'new', status: 201, body: example as never },
      { name: 'again', status: 200, body: example as never },
    ],
    handler: handler as never,
  });
}

async function put(
  { sql, vault }: GatewayParts,
  name: GatewayName,
  { tenant, key }: Context,
  change: AccountChange,
) {
  if (!vault)
    return problem(503, 'secrets_key_missing', 'TALLYRACE_SECRETS_KEY is not set on the server.');
  const target = { tenant, name, actor: `key:${key.id}` };
  const { body, created } = await putAccount(sql, vault, target, change);
  return json(created ? 201 : 200, accountOf(name, body));
}

function getGateway({ sql }: GatewayParts): Route {
  return defineRoute({
    ...admin,
    name: 'getGateway',
    method: 'GET',
    path: '/v1/gateways/{name}',
    summary: 'An account with a gateway, without its secrets',
    params,
    answers: { 200: { description: 'The account.', schema: GatewayAccount } },
    problems: [404],
    examples: [{ name: 'known', status: 200, params: { name: 'stripe' } }],
    async handler({ tenant, params: { name } }) {
      const body = await getAccount(sql, tenant, name);
      return body ? json(200, accountOf(name, body)) : noAccount();
    },
  });
}

function listGateways({ sql }: GatewayParts): Route {
  return defineRoute({
    ...admin,
    name: 'listGateways',
    method: 'GET',
    path: '/v1/gateways',
    summary: 'All accounts with gateways',
    answers: {
      200: { description: 'The accounts.', schema: closed({ data: Type.Array(GatewayAccount) }) },
    },
    examples: [{ name: 'all', status: 200 }],
    async handler({ tenant }) {
      const page = { after: '', limit: 100 };
      const found = await listDocuments<AccountBody>(sql, tenant, GATEWAYS_KIND, page);
      const data = found
        .filter(({ body }) => body.endpoint !== '')
        .map(({ key, body }) => accountOf(key as GatewayName, body));
      return json(200, { data });
    },
  });
}

function deleteGateway({ sql }: GatewayParts): Route {
  return defineRoute({
    ...admin,
    name: 'deleteGateway',
    method: 'DELETE',
    path: '/v1/gateways/{name}',
    summary: 'Delete an account and its secrets',
    description:
      'What is under way with the gateway can be carried out no more: capture, cancel or wait ' +
      'for it first. An account that is made anew has another webhook path.',
    params,
    answers: { 200: { description: 'Deleted.', schema: closed({ gateway: GatewayName }) } },
    problems: [404],
    examples: [
      { name: 'known', status: 200, params: { name: 'razorpay' } },
      { name: 'gone', status: 404, params: { name: 'razorpay' } },
    ],
    async handler({ tenant, key, params: { name } }) {
      const deleted = await deleteAccount(sql, tenant, name, `key:${key.id}`);
      return deleted ? json(200, { gateway: name }) : noAccount();
    },
  });
}

function putRouting({ sql }: GatewayParts): Route {
  return defineRoute({
    ...admin,
    name: 'putGatewayRouting',
    method: 'PUT',
    path: '/v1/gateway-routing',
    summary: 'Set which gateway gets which payments',
    description:
      'The first rule that holds for a payment decides, else the weights. Gateways without an ' +
      'account, or that are down, are tried last. A change holds for payments within a second.',
    body: GatewayRouting,
    answers: { 200: { description: 'As it holds now.', schema: GatewayRouting } },
    examples: [
      {
        name: 'by currency',
        status: 200,
        body: {
          weights: { stripe: 70, razorpay: 30 },
          rules: [{ currencies: ['INR'], weights: { razorpay: 1 } }],
          failover: ['stripe', 'razorpay'],
        },
      },
    ],
    async handler({ tenant, key, body }) {
      await putDocument(sql, tenant, ROUTING_KIND, ROUTING_KEY, body, `key:${key.id}`);
      return json(200, body);
    },
  });
}

function getRouting({ sql }: GatewayParts): Route {
  return defineRoute({
    ...admin,
    name: 'getGatewayRouting',
    method: 'GET',
    path: '/v1/gateway-routing',
    summary: 'Which gateway gets which payments',
    answers: { 200: { description: 'As it holds now.', schema: GatewayRouting } },
    examples: [{ name: 'as set', status: 200 }],
    async handler({ tenant }) {
      const found = await getDocument<GatewayRouting>(sql, tenant, ROUTING_KIND, ROUTING_KEY);
      return json(200, found?.body ?? everyone);
    },
  });
}

function accountOf(gateway: GatewayName, body: AccountBody): GatewayAccount {
  const { endpoint, secret_key, webhook_secret, previous_webhook_secret_until, changed_at } = body;
  return {
    gateway,
    secret_key,
    webhook_secret,
    previous_webhook_secret_until,
    webhook_path: `/v1/webhooks/${gateway}/${endpoint}`,
    changed_at,
  };
}

function noAccount() {
  return problem(404, 'not_found', 'There is no account with this gateway.');
}
