// Deliveries of notices to endpoints: claimed for the lane, recorded, shown and sent again.
// Invariant: no endpoint has more under way in this process than its room, so that a slow one
// holds up nobody but itself.
import type { Delivery, DeliveryAttempt, DeliveryError } from '../../schemas/webhook-endpoints.ts';
import type { Sql } from '../io/postgres.ts';
import { numberArray, textArray } from './columns.ts';
import { type ClaimedEffect, type EffectStore, effectStore } from './effects.ts';
import type { Sealed } from './secrets.ts';
import { type EndpointName, uuidOf } from './webhook-endpoints.ts';

/** What a delivery is about; ids without their prefix. */
export interface DeliveryName {
  tenant: number;
  endpoint: string;
  notice: string;
}

/** Whose deliveries are under way here: the endpoint, by claim. Lanes share one. */
export type UnderWay = Map<string, string>;

/** An endpoint that answers in 100 ms is sent 40 a second by each process. */
const EACH_MAX = 4;

/** As lanes want it. `failing`: serves the endpoints that fail at present, or those that do not. */
export function deliveryStore(sql: Sql, failing: boolean, underWay: UnderWay): EffectStore {
  const store = effectStore(sql);
  const nameOf = ({ claim, key }: ClaimedEffect): string => `${claim} ${key}`;
  const settling = async (effect: ClaimedEffect, settled: Promise<boolean>): Promise<boolean> => {
    underWay.delete(nameOf(effect));
    return settled;
  };
  return {
    ...store,
    async claim(_, limit, holdMs, passedBy) {
      const claim = crypto.randomUUID();
      const busy = [...Map.groupBy(underWay.values(), (endpoint) => endpoint)];
      const rows = await sql`
        select * from system_deliveries_claim(${limit}, ${claim}, ${holdMs}, ${failing},
          ${EACH_MAX}, ${numberArray(passedBy?.full ?? [])}::text::int[],
          ${textArray(busy.map(([endpoint]) => endpoint))}::text::uuid[],
          ${numberArray(busy.map(([, claims]) => claims.length))}::text::int[])`;
      const effects = rows.map((row): ClaimedEffect => ({
        key: row['key'] as string,
        tenant: row['tenant_id'] as number,
        kind: row['kind'] as string,
        data: row['data'] as ClaimedEffect['data'],
        attempts: row['attempts'] as number,
        askedAt: row['asked_at'] as Date,
        lastError: row['last_error'] as string | null,
        memory: {},
        claim,
      }));
      for (const effect of effects) underWay.set(nameOf(effect), String(effect.data['endpoint']));
      return effects;
    },
    // However a call ends, one of these is called, even where the first has failed.
    done: (effect) => settling(effect, store.done(effect)),
    again: (effect, delayMs, error) => settling(effect, store.again(effect, delayMs, error)),
    giveUp: (effect, error) => settling(effect, store.giveUp(effect, error)),
  };
}

export interface Message {
  url: string;
  status: 'enabled' | 'disabled' | 'deleted';
  /** Null: the endpoint is deleted. */
  sealed: Sealed | null;
  type: string;
  subject: string;
  sequence: number;
  occurredAt: Date;
  data: object;
}

export async function messageOf(
  sql: Sql,
  { tenant, endpoint, notice }: DeliveryName,
): Promise<Message | null> {
  const [row] = await sql`select * from webhook_message(${tenant}, ${endpoint}, ${notice})`;
  if (!row) return null;
  const [keyId, box] = [row['key_id'] as string | null, row['box'] as string | null];
  return {
    url: row['url'] as string,
    status: row['status'] as Message['status'],
    sealed: keyId !== null && box !== null ? { keyId, box } : null,
    type: row['type'] as string,
    subject: row['subject'] as string,
    sequence: Number(row['sequence']),
    occurredAt: row['occurred_at'] as Date,
    data: row['data'] as object,
  };
}

export interface Attempt {
  statusCode: number | null;
  /** Null: it arrived. */
  error: DeliveryError | null;
  durationMs: number;
}

/** Gives why the endpoint is disabled from now on; null where it is not. */
export async function recordAttempt(
  sql: Sql,
  { tenant, endpoint, notice }: DeliveryName,
  { statusCode, error, durationMs }: Attempt,
  failingDaysMax: number,
): Promise<'gone' | 'failing' | null> {
  const [row] = await sql`
    select webhook_attempted(${tenant}, ${endpoint}, ${notice}, ${statusCode}, ${error},
      ${Math.round(durationMs)}, ${failingDaysMax}) as disabled`;
  return row!['disabled'] as 'gone' | 'failing' | null;
}

const storedStatus = { waiting: 'waiting', delivered: 'done', failed: 'given_up' } as const;
const shownStatus = { waiting: 'waiting', done: 'delivered', given_up: 'failed' } as const;

/** Those asked for last come first. `before`: where the last page ended, as `cursor` gave it. */
export async function listDeliveries(
  sql: Sql,
  { tenant, id }: EndpointName,
  page: { status: Delivery['status'] | null; before: string | null; limit: number },
): Promise<{ delivery: Delivery; cursor: string }[]> {
  const [at, key] = page.before?.split('/') ?? [null, null];
  const status = page.status && storedStatus[page.status];
  const rows = await sql`
    select * from webhook_deliveries_list(${tenant}, ${uuidOf(id)}, null, ${status},
      ${at ?? null}::text::timestamptz, ${key ?? null}, ${page.limit})`;
  return rows.map((row) => ({
    delivery: deliveryOf(row),
    cursor: `${(row['asked_at'] as Date).toISOString()}/${row['key'] as string}`,
  }));
}

const ATTEMPTS_SHOWN = 50;

export async function getDelivery(
  sql: Sql,
  { tenant, id }: EndpointName,
  noticeId: string,
): Promise<{ delivery: Delivery; attempts: DeliveryAttempt[] } | null> {
  const [endpoint, notice] = [uuidOf(id), uuidOf(noticeId)];
  const [row] = await sql`
    select * from webhook_deliveries_list(${tenant}, ${endpoint}, ${notice}, null, null, null, 1)`;
  if (!row) return null;
  const attempts = await sql`
    select * from webhook_attempts_list(${tenant}, ${endpoint}, ${notice}, ${ATTEMPTS_SHOWN})`;
  return {
    delivery: deliveryOf(row),
    attempts: attempts.map((attempt) => ({
      at: (attempt['at'] as Date).toISOString(),
      status_code: attempt['status_code'] as number | null,
      error: attempt['error'] as DeliveryError | null,
      duration_ms: attempt['duration_ms'] as number,
    })),
  };
}

/** One delivery, or all that were given up since a time. Gives how many. */
export async function redeliver(
  sql: Sql,
  { tenant, id }: EndpointName,
  which: { noticeId: string } | { failedSince: Date },
  actor: string,
): Promise<number> {
  const notice = 'noticeId' in which ? uuidOf(which.noticeId) : null;
  const since = 'failedSince' in which ? which.failedSince.toISOString() : null;
  const [row] = await sql`
    select webhook_redeliver(${tenant}, ${uuidOf(id)}, ${notice}, ${since}::text::timestamptz,
      ${actor}) as count`;
  return row!['count'] as number;
}

function deliveryOf(row: Record<string, unknown>): Delivery {
  const status = shownStatus[row['status'] as keyof typeof shownStatus];
  return {
    id: `ntc_${row['notice'] as string}`,
    type: row['type'] as string,
    subject: row['subject'] as string,
    status,
    attempts: row['attempts'] as number,
    last_status_code: row['last_status_code'] as number | null,
    last_error: row['last_error'] as Delivery['last_error'],
    asked_at: (row['asked_at'] as Date).toISOString(),
    next_attempt_at: status === 'waiting' ? (row['due_at'] as Date).toISOString() : null,
  };
}
