// Reserving, committing and releasing, as the routes ask for it. The terms are judged here, in this
// process; limits are judged in Redis, in the step that appends the event.
// Invariant: never one use over a limit, under any race, crash or replay: whatever goes wrong here,
// only reserve.lua takes a use.
import type { Order, RefusalReason } from '../../schemas/coupons.ts';
import { sendTogether } from '../io/one-write.ts';
import type { Sql } from '../io/postgres.ts';
import { AppendRefused } from '../stream/append.ts';
import { partitionOf } from '../stream/topology.ts';
import { type Verdict, refusalOf } from './coupon-check.ts';
import { type QuotedCode, quote } from './coupon-quote.ts';
import type { CouponTable } from './coupon-table.ts';
import type { CompiledTerms } from './coupon-terms.ts';
import type { CouponUsage } from './coupon-usage.ts';
import {
  codeKeys,
  newRedemptionId,
  orderKey,
  redemptionKey,
  redemptionKeys,
  redemptionOfKey,
} from './redemption-keys.ts';
import { openIfUnused } from './redemption-life.ts';
import {
  ORDER_MEMORY_MS,
  SETTLED_MEMORY_MS,
  seedRedemption,
  warmCoupon,
  warmCustomer,
} from './redemption-rebuild.ts';
import {
  type RedemptionRecord,
  type RedemptionRow,
  type StoredRedemption,
  committedEvent,
  redemptionsOf,
  reservedEvent,
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

export type Reserved = { redemption: StoredRedemption } | { refused: RefusalReason; code: string };
export type SettledRedemption =
  { redemption: StoredRedemption } | { refused: SettleRefusal } | { missing: true };

/** Rounds of putting right what is in the way; each puts at least one thing right. */
const ROUNDS_MAX = 50;
const OPENING_WAIT_MS = 2_500;
const OPENING_POLL_MS = 25;

export class RedemptionBook {
  constructor(private readonly parts: BookParts) {}

  async reserve(request: ReserveRequest): Promise<Reserved> {
    const deadline = Date.now() + OPENING_WAIT_MS;
    const balances = new Map<string, number>();
    for (let round = 0; round < ROUNDS_MAX || Date.now() < deadline; round++) {
      const quotes = this.quoted(request, balances);
      const bad = quotes.find(({ verdict }) => verdict < 0);
      if (bad) return this.refusedByTerms(request, quotes, bad);
      const attempt = this.attemptOf(request, quotes);
      const reply = await this.parts.scripts.reserve(attempt.keys, attempt.args);
      if (reply.word === 'reserved') return this.taken(request, attempt, reply);
      if (reply.word === 'refused')
        return { refused: reply.reason, code: request.codes[reply.index]! };
      if (reply.word === 'held') {
        const held = await this.ownOrRefused(request, quotes, reply.key);
        if (held) return held;
      } else if (reply.word === 'closed') {
        if (Date.now() > deadline) break;
        const partition = partitionOf(request.tenant, request.codes[reply.index]!);
        if (!(await openIfUnused(this.parts, partition))) await Bun.sleep(OPENING_POLL_MS);
      } else {
        await this.putRight(request, reply, balances);
      }
    }
    throw new AppendRefused('redis_unavailable');
  }

  async settle(
    tenant: number,
    id: string,
    as: Settlement,
    traceparent: string | null,
  ): Promise<SettledRedemption> {
    const known = await this.get(tenant, id);
    if (!known) return { missing: true };
    const origin = { now: Date.now(), traceparent };
    let reply = await settleRecord(this.parts, id, known.record, as, origin);
    if (reply.word === 'missing') {
      await seedRedemption(this.parts.scripts, known);
      reply = await settleRecord(this.parts, id, known.record, as, origin);
    }
    if (reply.word === 'missing') throw new Error(`redemption ${id} does not stay in Redis`);
    if (reply.word === 'refused') return { refused: reply.reason };
    const status = as === 'committed' ? 'committed' : 'released';
    const offset = reply.word === 'settled' ? reply.offset : known.offset;
    return { redemption: { ...known, status, offset } };
  }

  /** From Redis while it is young, from Postgres for ever. */
  async get(tenant: number, id: string): Promise<StoredRedemption | null> {
    const fields = [redemptionKey(id), 'status', 'record', 'position'];
    const [status, record, offset] = (await orAppendRefused(
      sendTogether(this.parts.scripts.redis, 'hmget', fields),
    )) as (string | null)[];
    let found: StoredRedemption | null = null;
    if (status && record) {
      found = {
        id,
        status: status as StoredRedemption['status'],
        record: JSON.parse(record) as RedemptionRecord,
        offset: offset ? Number(offset) : null,
      };
    } else {
      const uuid = id.slice('rdm_'.length);
      const rows = await this.parts.sql`select * from redemption_get(${tenant}, ${uuid})`;
      found = redemptionsOf(rows as unknown as RedemptionRow[])[0] ?? null;
    }
    return found?.record.tenant === tenant ? found : null;
  }

  /** Tells Redis the version of terms just stored, so that no process decides by older ones. */
  async adopt(tenant: number, code: string, version: number): Promise<void> {
    const { coupon, life } = codeKeys(tenant, code, '');
    await this.parts.scripts.put('adopt', [coupon, life], [version]);
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

  private attemptOf(request: ReserveRequest, quotes: readonly QuotedCode[]) {
    const { tenant, codes, customer, order, ttlMs, commit, traceparent } = request;
    const id = newRedemptionId(partitionOf(tenant, codes[0]!));
    const now = this.now();
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
    const keys: string[] = redemptionKeys(id);
    const status = commit ? ('committed' as const) : ('reserved' as const);
    const args: (string | number | Buffer)[] = [codes.length, status, record.expiresAt, customer];
    args.push(JSON.stringify(record), Buffer.concat(events), events.length);
    args.push(SETTLED_MEMORY_MS, ORDER_MEMORY_MS);
    for (const { code, terms, byTerms, verdict } of quotes) {
      const of = codeKeys(tenant, code, order.id);
      keys.push(of.coupon, of.customers, of.order, of.life, of.changes, of.changed);
      const { version, globalLimit, customerLimit, budget, kind } = terms!;
      args.push(version, globalLimit, customerLimit, budget, verdict);
      args.push(kind === 'gift_balance' ? 1 : 0, byTerms);
    }
    return { id, record, status, keys, args };
  }

  private taken(
    { tenant }: ReserveRequest,
    { id, record, status }: ReturnType<RedemptionBook['attemptOf']>,
    { offset, usage }: Extract<ReserveReply, { word: 'reserved' }>,
  ): Reserved {
    record.uses.forEach(({ code }, index) => {
      this.parts.usage.learn(tenant, code, usage[index]!);
    });
    return { redemption: { id, status, record, offset } };
  }

  /** An order that holds its reservation keeps it, even if the terms have changed since. */
  private async refusedByTerms(
    request: ReserveRequest,
    quotes: readonly QuotedCode[],
    { code, verdict }: QuotedCode,
  ): Promise<Reserved> {
    const { tenant, codes, order } = request;
    const key = await orAppendRefused(
      this.parts.scripts.redis.get(orderKey(tenant, codes[0]!, order.id)),
    );
    const held = key ? await this.get(tenant, redemptionOfKey(key)) : null;
    if (held && this.stillHolds(held) && sameOrder(request, quotes, held.record))
      return this.own(request, held);
    return { refused: refusalOf(verdict)!, code };
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
    reply: Extract<ReserveReply, { index: number }>,
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
  private stillHolds({ status, record }: StoredRedemption): boolean {
    return status === 'committed' || (status === 'reserved' && this.now() < record.expiresAt);
  }

  /** Redis's clock as far as it is known, since Redis decides what has expired. */
  private now(): number {
    return Math.round(Date.now() + this.parts.usage.clockSkewMs);
  }
}

/** The same order again: same customer, codes and sums. What a gift gave depends on when. */
function sameOrder(
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
