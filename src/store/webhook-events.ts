// Webhooks as they were kept: one row each, and the body with the event that brought it.
import { eventDefinition } from '../../schemas/index.ts';
import type { GatewayName } from '../../schemas/payments.ts';
import type { WebhookEvent, WebhookResult } from '../../schemas/webhooks.ts';
import type { Sql } from '../io/postgres.ts';
import { eventKey } from '../ledger/identity.ts';
import { decodeBody } from '../stream/codec.ts';

export interface WebhookRow {
  shown: WebhookEvent;
  /** Of the event, for the next page. */
  key: string;
}

export interface WebhookFilter {
  endpoint: string | undefined;
  type: string | undefined;
  /** Where the last page ended. */
  before: { at: string; key: string } | null;
  limit: number;
}

/** Newest first. */
export async function webhookEventsOf(
  sql: Sql,
  tenant: number,
  { endpoint, type, before, limit }: WebhookFilter,
): Promise<WebhookRow[]> {
  const rows = await sql`
    select * from webhook_events_of(${tenant}, ${endpoint ?? null}, ${type ?? null},
      ${before?.at ?? null}::text::timestamptz, ${before?.key ?? null}::text::uuid, ${limit})`;
  return rows.map(rowOf);
}

/** With the text that the gateway sent. */
export async function webhookEventOf(
  sql: Sql,
  tenant: number,
  id: string,
): Promise<{ shown: WebhookEvent; payload: string } | null> {
  const key = eventKey(tenant, id);
  const [row] = await sql`select * from webhook_event_get(${tenant}, ${key}::text::uuid)`;
  if (!row) return null;
  const definition = eventDefinition.get('webhook.received')!;
  const { data } = decodeBody(definition, row['body'] as Buffer);
  return { shown: rowOf(row).shown, payload: (data as { payload: string }).payload };
}

function rowOf(row: Record<string, unknown>): WebhookRow {
  const gateway = row['gateway'] as GatewayName;
  const endpoint = row['endpoint'] as string;
  const gateway_event_id = row['gateway_event_id'] as string;
  return {
    key: row['event_key'] as string,
    shown: {
      id: webhookId(gateway, endpoint, gateway_event_id),
      ...{ gateway, endpoint, gateway_event_id },
      type: row['type'] as string,
      result: row['result'] as WebhookResult,
      payment_id: row['payment_id'] as string | null,
      received_at: (row['received_at'] as Date).toISOString(),
    },
  };
}

/** The id of the event that keeps a webhook, so that what is sent again has one outcome. */
export function webhookId(gateway: GatewayName, endpoint: string, eventId: string): string {
  return `${gateway}:${endpoint}:${eventId}`;
}
