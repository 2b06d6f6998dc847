// What a request to reserve comes to before Redis is asked: a redemption with an id of its own, its
// events and its answer, all of which hold only if Redis takes it.
// Invariant: what is written to Redis, to the stream and to the client says the same.
import type { Order } from '../../schemas/coupons.ts';
import { partitionOf } from '../stream/topology.ts';
import type { QuotedCode } from './coupon-quote.ts';
import { codeKeys, newRedemptionId, redemptionKey } from './redemption-keys.ts';
import {
  type RedemptionRecord,
  type StoredRedemption,
  committedEvent,
  reservedEvent,
} from './redemption-record.ts';
import type { AnswerText, Reservation } from './redemption-scripts.ts';

export interface ReserveRequest {
  tenant: number;
  codes: readonly string[];
  customer: string;
  segments: readonly string[] | undefined;
  order: Order & { id: string };
  ttlMs: number;
  commit: boolean;
  traceparent: string | null;
}

/** Tells how the answer to a request is kept; null where none is. */
export type AnswerMaker = ((redemption: StoredRedemption) => AnswerText) | null;

export interface Attempt {
  /** As it will be; only its offset is not known yet. */
  redemption: StoredRedemption;
  reservation: Reservation;
}

export function attemptOf(
  request: ReserveRequest,
  quotes: readonly QuotedCode[],
  now: number,
  answerOf: AnswerMaker,
): Attempt {
  const { tenant, codes, customer, order, ttlMs, commit, traceparent } = request;
  const partition = partitionOf(tenant, codes[0]!);
  const id = newRedemptionId(partition);
  const record: RedemptionRecord = {
    tenant,
    customer,
    order: order.id,
    currency: order.total.currency,
    total: order.total.amount,
    uses: quotes.map(({ code, terms, verdict }) => ({
      code,
      discount: verdict,
      terms_version: terms!.version,
    })),
    reservedAt: now,
    expiresAt: now + ttlMs,
  };
  const origin = { now: Date.now(), traceparent };
  const events = [reservedEvent(id, record, origin)];
  if (commit) events.push(committedEvent(id, record, origin));
  const status = commit ? ('committed' as const) : ('reserved' as const);
  const redemption = { id, status, record, offset: null };
  const reservation: Reservation = {
    partition,
    answer: answerOf?.(redemption) ?? null,
    key: redemptionKey(id),
    status,
    expiresAt: record.expiresAt,
    customer,
    record: JSON.stringify(record),
    events,
    codes: quotes.map((quoted) => reservedCode(request, quoted)),
  };
  return { redemption, reservation };
}

function reservedCode(
  { tenant, order }: ReserveRequest,
  { code, terms, byTerms, verdict }: QuotedCode,
): Reservation['codes'][number] {
  const { version, globalLimit, customerLimit, budget, kind } = terms!;
  return {
    keys: codeKeys(tenant, code, order.id),
    ...{ version, globalLimit, customerLimit, budget },
    discount: verdict,
    wanted: kind === 'gift_balance' ? byTerms : null,
  };
}

/** The same order again: same customer, codes and sums. What a gift gave depends on when. */
export function sameOrder(
  { codes, customer, order }: ReserveRequest,
  quotes: readonly QuotedCode[],
  record: RedemptionRecord,
): boolean {
  return (
    record.customer === customer &&
    record.total === order.total.amount &&
    record.currency === order.total.currency &&
    record.uses.length === codes.length &&
    record.uses.every(({ code, discount }, index) => {
      const { terms, verdict } = quotes[index]!;
      const free = verdict < 0 || terms?.kind === 'gift_balance';
      return code === codes[index] && (free || verdict === discount);
    })
  );
}
