// Where a tenant's notices are sent: endpoints, their secrets, whether they are switched on.
// Invariant: a secret is answered once, when it is made; a URL that may never be called is refused
// here already, and the effects process looks again at every call.
import { isIP } from 'node:net';
import {
  Endpoint,
  EndpointChange,
  EndpointId,
  EndpointRequest,
  EndpointWithSecret,
  RotationRequest,
} from '../../schemas/webhook-endpoints.ts';
import { closed } from '../../schemas/primitives.ts';
import { refuseCardNumbers } from '../http/card-numbers.ts';
import { page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { type Network, addressKind } from '../io/private-address.ts';
import type { Vault } from '../store/secrets.ts';
import {
  ENDPOINTS_MAX,
  changeEndpoint,
  createEndpoint,
  deleteEndpoint,
  getEndpoint,
  listEndpoints,
  rotateSecret,
} from '../store/webhook-endpoints.ts';

export interface WebhookEndpointParts {
  sql: Sql;
  /** Null: no key of secrets is set, so that none can be kept. */
  vault: Vault | null;
  /** Private networks that webhooks may go to. */
  webhooksAllowed: readonly Network[];
}

const OVERLAP_S = 86_400;
const base = '/v1/webhook-endpoints';
export const webhookAdmin = { tag: 'webhooks', scope: 'admin', limit: 'requests' } as const;
export const nobodysEndpoint = 'whe_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e07';
const params = closed({ id: EndpointId });
const isEndpoint = new RegExp(EndpointId.pattern!);
const unknown = { name: 'unknown', status: 404, params: { id: nobodysEndpoint } } as const;
const url = 'https://shop.example/webhooks';

export function webhookEndpointRoutes(parts: WebhookEndpointParts): Route[] {
  return [
    createRoute(parts),
    listRoute(parts),
    getRoute(parts),
    changeRoute(parts),
    deleteRoute(parts),
    rotateRoute(parts),
  ];
}

function createRoute({ sql, vault, webhooksAllowed }: WebhookEndpointParts): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'createWebhookEndpoint',
    method: 'POST',
    path: base,
    summary: 'Add an endpoint that is told what happens',
    description:
      `A tenant may have ${ENDPOINTS_MAX}. What is sent is signed after Standard Webhooks with ` +
      'the secret in the answer, which is shown this once. `webhooks` of this document says what ' +
      'is sent.',
    body: EndpointRequest,
    answers: { 201: { description: 'Added.', schema: EndpointWithSecret } },
    problems: [409],
    examples: [
      { name: 'all', status: 201, body: { url } },
      {
        name: 'some',
        status: 201,
        body: { url, event_types: ['payment.captured', 'payment.failed'], description: 'Orders' },
      },
      { name: 'private', status: 422, body: { url: 'https://169.254.169.254/latest' } },
    ],
    async handler({ tenant, key, body }) {
      const { event_types = ['*'], description = '' } = body;
      refuseCardNumbers(body);
      checkUrl(body.url, webhooksAllowed);
      if (!vault) return noVault();
      const by = { tenant, actor: `key:${key.id}` };
      const made = await createEndpoint(sql, vault, by, {
        url: body.url,
        event_types,
        description,
      });
      return made
        ? json(201, { ...made.endpoint, secret: made.secret })
        : problem(409, 'too_many_endpoints', `A tenant may have ${ENDPOINTS_MAX}.`);
    },
  });
}

function listRoute({ sql }: WebhookEndpointParts): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'listWebhookEndpoints',
    method: 'GET',
    path: base,
    summary: 'All endpoints, oldest first',
    query: closed(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(Endpoint) } },
    examples: [{ name: 'all', status: 200 }],
    async handler({ tenant, query }) {
      const { limit, after } = readPage(query, (place) => isEndpoint.test(place));
      const rows = await listEndpoints(sql, tenant, { after, limit: limit + 1 });
      return json(
        200,
        page(
          rows,
          limit,
          ({ id }) => id,
          (row) => row,
        ),
      );
    },
  });
}

function getRoute({ sql }: WebhookEndpointParts): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'getWebhookEndpoint',
    method: 'GET',
    path: `${base}/{id}`,
    summary: 'An endpoint, without its secret',
    params,
    answers: { 200: { description: 'The endpoint.', schema: Endpoint } },
    problems: [404],
    examples: [unknown],
    async handler({ tenant, params: { id } }) {
      const found = await getEndpoint(sql, { tenant, id });
      return found ? json(200, found.shown) : noEndpoint();
    },
  });
}

function changeRoute({ sql, webhooksAllowed }: WebhookEndpointParts): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'putWebhookEndpoint',
    method: 'PUT',
    path: `${base}/{id}`,
    summary: 'Change an endpoint, or switch it off and on',
    description:
      'One that is disabled is sent nothing: what happens meanwhile is not kept for it, and what ' +
      'waits fails at its next attempt, from where it can be sent again by hand.',
    params,
    body: EndpointChange,
    answers: { 200: { description: 'As it is now.', schema: Endpoint } },
    problems: [404],
    examples: [
      { ...unknown, body: { url, event_types: ['*'], description: '', status: 'enabled' } },
    ],
    async handler({ tenant, key, body, params: { id } }) {
      refuseCardNumbers(body);
      checkUrl(body.url, webhooksAllowed);
      const changed = await changeEndpoint(sql, { tenant, id }, body, `key:${key.id}`);
      return changed ? json(200, changed) : noEndpoint();
    },
  });
}

function deleteRoute({ sql }: WebhookEndpointParts): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'deleteWebhookEndpoint',
    method: 'DELETE',
    path: `${base}/{id}`,
    summary: 'Delete an endpoint and its secret',
    params,
    answers: { 200: { description: 'Deleted.', schema: params } },
    problems: [404],
    examples: [unknown],
    async handler({ tenant, key, params: { id } }) {
      const deleted = await deleteEndpoint(sql, { tenant, id }, `key:${key.id}`);
      return deleted ? json(200, { id }) : noEndpoint();
    },
  });
}

function rotateRoute({ sql, vault }: WebhookEndpointParts): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'rotateWebhookSecret',
    method: 'POST',
    path: `${base}/{id}/rotate-secret`,
    summary: 'Make a new secret',
    description:
      'Until the overlap ends, everything is signed with both secrets, and a receiver may know ' +
      'either. The new one is shown this once.',
    params,
    body: RotationRequest,
    answers: { 200: { description: 'The new secret.', schema: EndpointWithSecret } },
    problems: [404],
    examples: [{ ...unknown, body: { overlap_s: 3_600 } }],
    async handler({ tenant, key, body, params: { id } }) {
      if (!vault) return noVault();
      const how = { overlapMs: (body.overlap_s ?? OVERLAP_S) * 1_000, actor: `key:${key.id}` };
      const rotated = await rotateSecret(sql, vault, { tenant, id }, how);
      return rotated ? json(200, { ...rotated.endpoint, secret: rotated.secret }) : noEndpoint();
    },
  });
}

/** What can be known without asking a resolver. Browsers' rules make `0x7f.1` an address too. */
function checkUrl(text: string, allowed: readonly Network[]): void {
  const why = reasonAgainst(text, allowed);
  if (why === null) return;
  const errors = [{ pointer: '/url', detail: why }];
  throw problem(422, 'invalid_request', 'The URL cannot be called.', { errors });
}

function reasonAgainst(text: string, allowed: readonly Network[]): string | null {
  if (!URL.canParse(text)) return 'Not a URL.';
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username || password || hash) return 'A user, a password or a fragment has no place here.';
  if (protocol !== 'https:' && allowed.length === 0) return 'Only https.';
  const name = hostname.replace(/^\[|\]$/g, '');
  if (!isIP(name)) return null;
  const kind = addressKind(name, allowed);
  if (kind === 'refused') return 'A private address.';
  return protocol !== 'https:' && kind !== 'named' ? 'Only https.' : null;
}

export function noEndpoint() {
  return problem(404, 'not_found', 'There is no such endpoint.');
}

function noVault() {
  return problem(503, 'secrets_key_missing', 'TALLYRACE_SECRETS_KEY is not set on the server.');
}
