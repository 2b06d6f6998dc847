// Reserving, committing and releasing, as the routes ask for it. The terms are judged here, in this
// process; limits are judged in Redis, in the step that appends the event.
// Invariant: never one use over a limit, under any race, crash or replay: whatever goes wrong here,
// only reserve.lua takes a use.
import type { RefusalReason } from '../../schemas/coupons.ts';
import { within } from '../io/deadline.ts';
import { sendTogether } from '../io/one-write.ts';
import type { Sql } from '../io/postgres.ts';
import { AppendRefused } from '../stream/append.ts';
import { type Verdict, refusalOf } from './coupon-check.ts';
import { type QuotedCode, quote } from './coupon-quote.ts';
import type { CouponTable } from './coupon-table.ts';
import type { CompiledTerms } from './coupon-terms.ts';
import type { CouponUsage } from './coupon-usage.ts';
import { forgetBeyond } from './oldest.ts';
import {
  type AnswerMaker,
  type ReserveRequest,
  attemptOf,
  sameOrder,
} from './redemption-attempt.ts';
import { couponKey, orderKey, redemptionKey, redemptionOfKey } from './redemption-keys.ts';
import { untilOpen } from './redemption-life.ts';
import {
  redemptionInRows,
  warmCoupon,
  warmCustomer,
  warmRedemption,
} from './redemption-rebuild.ts';
import {
  type Origin,
  type RedemptionRecord,
  type StoredRedemption,
  redemptionFrom,
} from './redemption-record.ts';
import {
  type ReserveReply,
  type RedemptionScripts,
  type SettleRefusal,
  orAppendRefused,
} from './redemption-scripts.ts';
import { type Settlement, settleRecord } from './redemption-settle.ts';

export interface BookParts {
  scripts: RedemptionScripts;
  sql: Sql;
  table: CouponTable;
  usage: CouponUsage;
}

export type Reserved = { redemption: StoredRedemption } | { refused: RefusalReason; code: string };
/** `answered`: the request came before, and this is what was kept. `contested`: its order may hold
 * something already, which takes more than one step to sort out. */
export type ReservedOnce = Reserved | { answered: string } | { contested: true };
/** How far one look at the terms and one call of the script come. */
type Decided =
  | Reserved
  | { answered: string }
  | { held: string; quotes: readonly QuotedCode[] }
  | { unfit: QuotedCode; quotes: readonly QuotedCode[] };
export type SettledRedemption =
  { redemption: StoredRedemption } | { refused: SettleRefusal } | { missing: true };

/** Rounds of putting right what is in the way; each puts at least one thing right. */
const ROUNDS_MAX = 50;
const OPENING_WAIT_MS = 2_500;
const TERMS_WAIT_MS = 2_000;

/** Reservations of this process whose records are at hand when they are settled: some 8 MB. */
const RECENT_MAX = 2 ** 14;

export class RedemptionBook {
  private readonly recent = new Map<string, RedemptionRecord>();

  constructor(private readonly parts: BookParts) {}

  /** An order that holds its reservation gets it again, or another in its place. */
  async reserve(request: ReserveRequest): Promise<Reserved> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const decided = await this.decide(request, null);
      if ('unfit' in decided) return this.refusedByTerms(request, decided.quotes, decided.unfit);
      if ('answered' in decided) throw new Error('nobody asked for an answer to be kept');
      if (!('held' in decided)) return decided;
      const held = await this.ownOrRefused(request, decided.quotes, decided.held);
      if (held) return held;
    }
    throw new AppendRefused('redis_unavailable');
  }

  /** The answer to a reservation that is made is kept in the same step; nothing else is done. */
  async reserveOnce(request: ReserveRequest, answerOf: AnswerMaker): Promise<ReservedOnce> {
    const decided = await this.decide(request, answerOf);
    if ('held' in decided) return { contested: true };
    if (!('unfit' in decided)) return decided;
    const { code, verdict } = decided.unfit;
    if (await this.holderOf(request)) return { contested: true };
    return { refused: refusalOf(verdict)!, code };
  }

  /** Puts right what is in the way of deciding. */
  private async decide(request: ReserveRequest, answerOf: AnswerMaker): Promise<Decided> {
    const deadline = Date.now() + OPENING_WAIT_MS;
    const balances = new Map<string, number>();
    let isFresh = false;
    for (let round = 0; round < ROUNDS_MAX || Date.now() < deadline; round++) {
      const quotes = this.quoted(request, balances);
      const unfit = quotes.find(({ verdict }) => verdict < 0);
      if (unfit) {
        if (isFresh) return { unfit, quotes };
        // A refusal is kept for a day: it must not come from older terms.
        await within(this.parts.table.refresh(), TERMS_WAIT_MS);
        isFresh = true;
        continue;
      }
      const { redemption, reservation } = attemptOf(request, quotes, this.now(), answerOf);
      const reply = await this.parts.scripts.reserve(reservation);
      if (reply.word === 'reserved') return this.taken(redemption, reply);
      if (reply.word === 'refused')
        return { refused: reply.reason, code: request.codes[reply.index]! };
      if (reply.word === 'answered') return { answered: reply.text };
      if (reply.word === 'held') return { held: reply.key, quotes };
      if (reply.word !== 'closed') await this.putRight(request, reply, balances);
      else await this.opened(deadline);
    }
    throw new AppendRefused('redis_unavailable');
  }

  async settle(
    tenant: number,
    id: string,
    as: Settlement,
    traceparent: string | null,
  ): Promise<SettledRedemption> {
    const deadline = Date.now() + OPENING_WAIT_MS;
    for (;;) {
      const result = await this.settleOnce(tenant, id, as, { now: Date.now(), traceparent });
      if (!('closed' in result)) return result;
      await this.opened(deadline);
    }
  }

  private async settleOnce(
    tenant: number,
    id: string,
    as: Settlement,
    origin: Origin,
  ): Promise<SettledRedemption | { closed: true }> {
    // A record never changes, and the script knows what has become of it.
    const recent = this.recent.get(id);
    if (recent?.tenant === tenant) {
      const reply = await settleRecord(this.parts, id, recent, as, origin);
      if (reply.word === 'refused') return { refused: reply.reason };
      if (reply.word === 'settled') return settled({ id, record: recent }, as, reply.offset);
    }
    let known = await this.get(tenant, id);
    if (!known) return { missing: true };
    let reply = await settleRecord(this.parts, id, known.record, as, origin);
    if (reply.word === 'missing') {
      known = await warmRedemption(this.parts, tenant, id);
      if (!known) return { missing: true };
      reply = await settleRecord(this.parts, id, known.record, as, origin);
    }
    // Gone again: another life has begun.
    if (reply.word === 'closed' || reply.word === 'missing') return { closed: true };
    if (reply.word === 'refused') return { refused: reply.reason };
    return settled(known, as, reply.word === 'settled' ? reply.offset : known.offset);
  }

  /** Waits a moment for the counters; refused when they are still closed at the deadline. */
  private async opened(deadline: number): Promise<void> {
    if (!(await untilOpen(this.parts.scripts)) && Date.now() > deadline)
      throw new AppendRefused('redis_unavailable');
  }

  /** From Redis while it is young, from Postgres for ever. */
  async get(tenant: number, id: string): Promise<StoredRedemption | null> {
    const text = (await orAppendRefused(
      sendTogether(this.parts.scripts.redis, 'get', [redemptionKey(id)]),
    )) as string | null;
    const found =
      text === null ? await redemptionInRows(this.parts.sql, tenant, id) : redemptionFrom(id, text);
    if (found) return found.record.tenant === tenant ? found : null;
    // What is in neither may be on its way from a Redis that was lost.
    if (!(await untilOpen(this.parts.scripts))) throw new AppendRefused('redis_unavailable');
    return null;
  }

  /** Tells Redis the version of terms just stored, so that no process decides by older ones. */
  async adopt(tenant: number, code: string, version: number): Promise<void> {
    // There are no older ones than the first.
    if (version > 1) await this.parts.scripts.put('adopt', [couponKey(tenant, code)], [version]);
  }

  /** By terms only; a gift is quoted at what it is known to hold. */
  private quoted(request: ReserveRequest, balances: ReadonlyMap<string, number>): QuotedCode[] {
    const { tenant, codes, order, segments, customer } = request;
    const balanceOf = (code: string, terms: CompiledTerms, discount: number): Verdict => {
      if (terms.kind !== 'gift_balance') return discount;
      const used = this.parts.usage.ofCode(tenant, code)?.budgetUsed ?? 0;
      return Math.min(discount, Math.max(balances.get(code) ?? terms.budget - used, 0));
    };
    const purchase = { order, segments, customer };
    return quote(this.parts.table, tenant, codes, purchase, this.now(), balanceOf);
  }

  private taken(
    redemption: StoredRedemption,
    { offset, usage }: Extract<ReserveReply, { word: 'reserved' }>,
  ): Reserved {
    const { id, record, status } = redemption;
    const { tenant, uses } = record;
    uses.forEach(({ code }, index) => this.parts.usage.learn(tenant, code, usage[index]!));
    if (status === 'reserved') this.recent.set(id, record);
    forgetBeyond(RECENT_MAX, this.recent);
    return { redemption: { ...redemption, offset } };
  }

  /** An order that holds its reservation keeps it, even if the terms have changed since. */
  private async refusedByTerms(
    request: ReserveRequest,
    quotes: readonly QuotedCode[],
    { code, verdict }: QuotedCode,
  ): Promise<Reserved> {
    const key = await this.holderOf(request);
    const held = key ? await this.get(request.tenant, redemptionOfKey(key)) : null;
    if (held && this.stillHolds(held) && sameOrder(request, quotes, held.record))
      return this.own(request, held);
    return { refused: refusalOf(verdict)!, code };
  }

  /** The key of a redemption, where the order has one. */
  private async holderOf({ tenant, codes, order }: ReserveRequest): Promise<string | null> {
    const { redis } = this.parts.scripts;
    const key = orderKey(tenant, codes[0]!, order.id);
    return (await orAppendRefused(sendTogether(redis, 'get', [key]))) as string | null;
  }

  /** Null: its order may try again. */
  private async ownOrRefused(
    request: ReserveRequest,
    quotes: readonly QuotedCode[],
    key: string,
  ): Promise<Reserved | null> {
    const { tenant, customer, traceparent } = request;
    const held = await this.get(tenant, redemptionOfKey(key));
    if (!held || held.status === 'released') return null;
    const code = held.record.uses.find((use) => request.codes.includes(use.code))!.code;
    if (!this.stillHolds(held)) {
      await this.settle(tenant, held.id, 'expired', traceparent);
      return null;
    }
    if (sameOrder(request, quotes, held.record)) return this.own(request, held);
    if (held.status === 'committed') return { refused: 'already_redeemed', code };
    if (held.record.customer !== customer) return { refused: 'reserved_elsewhere', code };
    await this.settle(tenant, held.id, 'replaced', traceparent);
    return null;
  }

  private async own(request: ReserveRequest, held: StoredRedemption): Promise<Reserved> {
    if (!request.commit || held.status === 'committed') return { redemption: held };
    const { tenant, traceparent } = request;
    const settled = await this.settle(tenant, held.id, 'committed', traceparent);
    if ('redemption' in settled) return settled;
    return { refused: 'expired', code: request.codes[0]! };
  }

  private async putRight(
    { tenant, codes, customer }: ReserveRequest,
    reply: Exclude<Extract<ReserveReply, { index: number }>, { word: 'refused' }>,
    balances: Map<string, number>,
  ): Promise<void> {
    const code = codes[reply.index]!;
    if (reply.word === 'cold') await warmCoupon(this.parts, tenant, code);
    if (reply.word === 'stale') await this.parts.table.refresh();
    if (reply.word === 'balance') balances.set(code, reply.left);
    if (reply.word === 'customer_cold')
      await warmCustomer(this.parts, tenant, code, customer, reply.moves);
  }

  /** A reservation whose time is up may still wait to be swept. */
  stillHolds({ status, record }: StoredRedemption): boolean {
    return status === 'committed' || (status === 'reserved' && this.now() < record.expiresAt);
  }

  /** Redis's clock as far as it is known, since Redis decides what has expired. */
  private now(): number {
    return Math.round(Date.now() + this.parts.usage.clockSkewMs);
  }
}

function settled(
  { id, record }: Pick<StoredRedemption, 'id' | 'record'>,
  as: Settlement,
  offset: number | null,
): SettledRedemption {
  const status = as === 'committed' ? 'committed' : 'released';
  return { redemption: { id, record, status, offset } };
}
