// Webhooks of gateways as they were kept, for those who look into what a payment did.
// Invariant: secrets and tokens in a payload are not shown.
import { Type } from '@sinclair/typebox';
import { ClientId, closed } from '../../schemas/primitives.ts';
import { Endpoint, WebhookEvent, WebhookEventWhole, WebhookType } from '../../schemas/webhooks.ts';
import { isTimeAnd, page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { problem } from '../http/problem.ts';
import { redacted } from '../http/redaction.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { webhookEventOf, webhookEventsOf } from '../store/webhook-events.ts';

const read = { tag: 'webhooks', scope: 'payments:write', limit: 'requests' } as const;

const isPlace = isTimeAnd({ pattern: '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$' });

export function webhookEventRoutes({ sql }: { sql: Sql }): Route[] {
  const list = defineRoute({
    ...read,
    name: 'listWebhookEvents',
    method: 'GET',
    path: '/v1/webhook-events',
    summary: 'Webhooks that gateways have sent, newest first',
    query: closed({
      ...pageQuery,
      endpoint: Type.Optional(Endpoint),
      type: Type.Optional(WebhookType),
    }),
    answers: { 200: { description: 'A page.', schema: pageOf(WebhookEvent) } },
    examples: [{ name: 'none yet', status: 200, query: { type: 'payment_intent.succeeded' } }],
    async handler({ tenant, query }) {
      const { limit, after } = readPage(query, isPlace);
      const { endpoint, type } = query;
      const before = placeOf(after);
      const rows = await webhookEventsOf(sql, tenant, { endpoint, type, before, limit: limit + 1 });
      const placed = (row: (typeof rows)[number]): string => `${row.shown.received_at}/${row.key}`;
      return json(
        200,
        page(rows, limit, placed, ({ shown }) => shown),
      );
    },
  });

  const get = defineRoute({
    ...read,
    name: 'getWebhookEvent',
    method: 'GET',
    path: '/v1/webhook-events/{id}',
    summary: 'A webhook, with what was sent',
    params: closed({ id: ClientId }),
    answers: { 200: { description: 'The webhook.', schema: WebhookEventWhole } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: { id: 'stripe:whi_0:evt_0' } }],
    async handler({ tenant, params: { id } }) {
      const found = await webhookEventOf(sql, tenant, id);
      if (!found) return problem(404, 'not_found', 'No such webhook, or it has not been read yet.');
      return json(200, { ...found.shown, payload: redacted(JSON.parse(found.payload)) });
    },
  });

  return [list, get];
}

function placeOf(after: string | null): { at: string; key: string } | null {
  const [at, key] = after?.split('/') ?? [];
  return at !== undefined && key !== undefined ? { at, key } : null;
}
