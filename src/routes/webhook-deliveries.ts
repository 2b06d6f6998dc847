// What an endpoint was sent, what it answered, and sending it again.
// Invariant: nothing is shown of an endpoint that is not the tenant's, nor of what a receiver said.
import { Type } from '@sinclair/typebox';
import { NoticeId } from '../../schemas/notices.ts';
import { closed } from '../../schemas/primitives.ts';
import {
  Delivery,
  DeliveryStatus,
  DeliveryWithAttempts,
  EndpointId,
} from '../../schemas/webhook-endpoints.ts';
import { isTimeAnd, page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { getDelivery, listDeliveries, redeliver } from '../store/webhook-deliveries.ts';
import { getEndpoint } from '../store/webhook-endpoints.ts';
import { noEndpoint, nobodysEndpoint, webhookAdmin } from './webhook-endpoints.ts';

const path = '/v1/webhook-endpoints/{id}/deliveries';
const params = closed({ id: EndpointId, delivery: NoticeId });
const nobodys = { id: nobodysEndpoint, delivery: 'ntc_5b0f7a52-1c9b-3c1e-8f6a-2f7d9c1b0e44' };

export function webhookDeliveryRoutes(parts: { sql: Sql }): Route[] {
  return [listRoute(parts), getRoute(parts), redeliverRoute(parts)];
}

function listRoute({ sql }: { sql: Sql }): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'listWebhookDeliveries',
    method: 'GET',
    path,
    summary: 'Deliveries to an endpoint, those asked for last first',
    params: closed({ id: EndpointId }),
    query: closed({ ...pageQuery, status: Type.Optional(DeliveryStatus) }),
    answers: { 200: { description: 'A page.', schema: pageOf(Delivery) } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: { id: nobodysEndpoint } }],
    async handler({ tenant, query, params: { id } }) {
      const { limit, after } = readPage(query, isTimeAnd({ pattern: '^ntc_[\\w:-]{36,100}$' }));
      if (!(await getEndpoint(sql, { tenant, id }))) return noEndpoint();
      const asked = { status: query.status ?? null, before: after, limit: limit + 1 };
      const rows = await listDeliveries(sql, { tenant, id }, asked);
      return json(
        200,
        page(
          rows,
          limit,
          ({ cursor }) => cursor,
          ({ delivery }) => delivery,
        ),
      );
    },
  });
}

function getRoute({ sql }: { sql: Sql }): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'getWebhookDelivery',
    method: 'GET',
    path: `${path}/{delivery}`,
    summary: 'A delivery with its attempts',
    params,
    answers: { 200: { description: 'The delivery.', schema: DeliveryWithAttempts } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobodys }],
    async handler({ tenant, params: { id, delivery } }) {
      if (!(await getEndpoint(sql, { tenant, id }))) return noEndpoint();
      const found = await getDelivery(sql, { tenant, id }, delivery);
      return found ? json(200, { ...found.delivery, attempts_made: found.attempts }) : noDelivery();
    },
  });
}

function redeliverRoute({ sql }: { sql: Sql }): Route {
  return defineRoute({
    ...webhookAdmin,
    name: 'redeliverWebhook',
    method: 'POST',
    path: `${path}/{delivery}/redeliver`,
    summary: 'Send it again',
    description:
      'Whatever became of it, it is sent again at once, under the same `webhook-id`, and retried ' +
      'like a new one. One that is under way at this moment is left to itself.',
    params,
    answers: { 202: { description: 'It will be sent.', schema: Delivery } },
    problems: [404, 409],
    examples: [{ name: 'unknown', status: 404, params: nobodys }],
    async handler({ tenant, key, params: { id, delivery } }) {
      const endpoint = await getEndpoint(sql, { tenant, id });
      if (!endpoint) return noEndpoint();
      if (endpoint.shown.status !== 'enabled')
        return problem(409, 'endpoint_disabled', 'Enable the endpoint first.');
      const which = { noticeId: delivery };
      const count = await redeliver(sql, { tenant, id }, which, `key:${key.id}`);
      const found = count > 0 ? await getDelivery(sql, { tenant, id }, delivery) : null;
      return found ? json(202, found.delivery) : noDelivery();
    },
  });
}

function noDelivery() {
  return problem(404, 'not_found', 'This endpoint was not sent it.');
}
