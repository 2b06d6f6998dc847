// One redemption in its forms: the record kept in Redis, the events on the stream, the rows in
// Postgres and the answer to the client.
// Invariant: record and rows say the same, so that either can be rebuilt from the other.
import type { Redemption, RedemptionStatus } from '../../schemas/coupons.ts';
import {
  RedemptionCommitted,
  RedemptionReleased,
  RedemptionReserved,
} from '../../schemas/coupons-events.ts';
import { encodeEvent } from '../stream/codec.ts';
import { streamName } from '../stream/topology.ts';
import { partitionOfRedemption } from './redemption-keys.ts';

export interface RecordedUse {
  code: string;
  discount: number;
  terms_version: number;
}

/** What never changes about a redemption. Times in ms since the epoch. */
export interface RedemptionRecord {
  tenant: number;
  customer: string;
  order: string;
  currency: string;
  total: number;
  uses: RecordedUse[];
  reservedAt: number;
  expiresAt: number;
}

export interface StoredRedemption {
  id: string;
  status: RedemptionStatus;
  record: RedemptionRecord;
  /** Of its latest event; null where it is no longer known. */
  offset: number | null;
}

/** A client's traceparent travels with each event. */
export interface Origin {
  now: number;
  traceparent: string | null;
}

export function reservedEvent(id: string, record: RedemptionRecord, origin: Origin): Buffer {
  const data = {
    ...factsOf(id, record),
    order_total: record.total,
    reserved_at: time(record.reservedAt),
    expires_at: time(record.expiresAt),
  };
  return encode(RedemptionReserved, `${id}/reserved`, record, origin, data);
}

export function committedEvent(id: string, record: RedemptionRecord, origin: Origin): Buffer {
  const data = { ...factsOf(id, record), committed_at: time(origin.now) };
  return encode(RedemptionCommitted, `${id}/committed`, record, origin, data);
}

export type ReleaseReason = 'released' | 'expired' | 'replaced';

export function releasedEvent(
  id: string,
  record: RedemptionRecord,
  origin: Origin,
  reason: ReleaseReason,
): Buffer {
  const data = { ...factsOf(id, record), reason, released_at: time(origin.now) };
  return encode(RedemptionReleased, `${id}/released`, record, origin, data);
}

/** Ids follow from the redemption and what befell it: each can happen only once. */
function encode(
  definition: Parameters<typeof encodeEvent>[0],
  eventId: string,
  { tenant }: RedemptionRecord,
  { now, traceparent }: Origin,
  data: object,
): Buffer {
  return encodeEvent(definition, { tenant, id: eventId, acceptedAt: now, traceparent, data });
}

function factsOf(id: string, { uses, currency, customer, order }: RedemptionRecord) {
  return { redemption_id: id, uses, currency, customer_id: customer, order_id: order };
}

/** As batch.lua writes it. */
export function textOf({ status, record, offset }: StoredRedemption): string {
  return `${status} ${offset ?? '-'} - ${record.expiresAt} ${JSON.stringify(record)}`;
}

export function redemptionFrom(id: string, text: string): StoredRedemption {
  const [status, offset] = text.split(' ', 2);
  return {
    id,
    status: status as RedemptionStatus,
    record: JSON.parse(text.slice(text.indexOf('{'))) as RedemptionRecord,
    offset: offset === '-' ? null : Number(offset),
  };
}

/** The offset may be a text that Redis will put the number in place of. */
export function answerOf({
  id,
  status,
  record,
  offset,
}: Omit<StoredRedemption, 'offset'> & { offset: number | string | null }): Redemption {
  const { currency } = record;
  return {
    id,
    status,
    discount: { amount: discountOf(record), currency },
    codes: record.uses.map(({ code, discount, terms_version }) => ({
      code,
      discount: { amount: discount, currency },
      version: terms_version,
    })),
    customer_id: record.customer,
    order_id: record.order,
    expires_at: time(record.expiresAt),
    position: offset === null ? null : positionOf(id, offset),
  };
}

function positionOf(id: string, offset: number | string): string {
  return `${streamName('coupons', partitionOfRedemption(id))}.${offset}`;
}

export function discountOf({ uses }: RedemptionRecord): number {
  return uses.reduce((sum, { discount }) => sum + discount, 0);
}

/** Rows of table `redemptions`; those of one redemption follow each other. */
export interface RedemptionRow {
  id: string;
  code: string;
  tenant_id: number;
  status: RedemptionStatus;
  customer_id: string;
  order_id: string;
  currency: string;
  discount: bigint;
  order_total: bigint;
  terms_version: number;
  reserved_at: Date;
  expires_at: Date;
}

export function redemptionsOf(rows: readonly RedemptionRow[]): StoredRedemption[] {
  const redemptions: StoredRedemption[] = [];
  for (const row of rows) {
    const id = `rdm_${row.id}`;
    let current = redemptions.at(-1);
    if (current?.id !== id) {
      current = { id, status: row.status, record: recordOf(row), offset: null };
      redemptions.push(current);
    }
    const { code, terms_version } = row;
    current.record.uses.push({ code, discount: Number(row.discount), terms_version });
  }
  return redemptions;
}

function recordOf(row: RedemptionRow): RedemptionRecord {
  return {
    tenant: row.tenant_id,
    customer: row.customer_id,
    order: row.order_id,
    currency: row.currency,
    total: Number(row.order_total),
    uses: [],
    reservedAt: row.reserved_at.getTime(),
    expiresAt: row.expires_at.getTime(),
  };
}

/** Requests of one millisecond share their times; to write one takes as long as to check a code. */
const timesKept = Array.from({ length: 16 }, () => ({ ms: 0, text: new Date(0).toISOString() }));

function time(ms: number): string {
  const kept = timesKept[ms % timesKept.length]!;
  if (kept.ms !== ms) {
    kept.ms = ms;
    kept.text = new Date(ms).toISOString();
  }
  return kept.text;
}
