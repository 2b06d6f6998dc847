// What callers were told is done, and what is there in the end: the two are to be the same, so that
// whatever was refused has left nothing behind.
import { expect } from 'bun:test';
import { eventDefinitions } from '../../schemas/index.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { settledReport } from '../ledger-proof.ts';
import type { Stack } from '../stack.ts';
import type { WireReply, WireRequest } from './wire.ts';

/** Every name that Redis may hold; what a caller chose comes last in it. */
const names = [
  /^tallyrace:[a-z:]+$/,
  /^\{p0[0-7]\}:(events|coupons|payments|webhooks)(:offset|:settled)?$/,
  /^\{p0[0-7]\}:coupons:(life|changes|changed|expiries)$/,
  /^\{p0[0-7]\}:coupon:\d+:[^:]+(:customers|:order:[\x21-\x7e]+)?$/,
  /^\{p0[0-7]\}:redemption:rdm_[0-9a-f-]{36}$/,
  /^\{p0[0-7]\}:balances?:[\x21-\x7e]+$/,
  /^\{p0[0-7]\}:payments:\d+:[\x21-\x7e]{1,128}:(version|page)$/,
  /^\{risk:\d+\}:(count:(user|ip|device|token)|tokens-of:user|users-of:(token|device)):[\w-]{22}$/,
  /^\{risk:\d+\}:paid:[\x21-\x7e]{1,128}$/,
  /^idempotency:\d+:\w+:[\x21-\x7e]{1,128}$/,
  /^limit:[\w-]+:\d+:\d+:\S+$/,
];

/** Operations that each put one document, always the same. */
const fixedDocuments: Readonly<Record<string, string>> = {
  putStripe: 'gateways stripe',
  putRazorpay: 'gateways razorpay',
  putGatewayRouting: 'gateway_routing default',
  putRiskRules: 'risk_rules active',
  putShadowRiskRules: 'risk_rules shadow',
};

export class Ledgerbook {
  private readonly events = new Set<string>();
  readonly documents = new Set<string>();
  readonly redemptions = new Set<string>();
  readonly payments = new Set<string>();
  readonly onceKeys = new Set<string>();

  constructor(
    private readonly stack: Stack,
    private readonly tenant: number,
  ) {}

  note(operation: string, { headers }: WireRequest, { status, text }: WireReply): void {
    if (/^create(Redemption|Payment)$/.test(operation) && (status < 300 || status === 409))
      this.onceKeys.add(headers.find(([name]) => name === 'Idempotency-Key')![1].trim());
    if (status >= 300) return;
    const body = () => JSON.parse(text) as Record<string, unknown>;
    if (operation === 'sendEvents')
      for (const { id, status: each } of body()['results'] as { id: string; status: string }[])
        if (each === 'accepted') this.events.add(id);
    if (operation === 'putCoupon') this.documents.add(`coupons ${String(body()['code'])}`);
    if (operation === 'putPartner') this.documents.add(`partners ${String(body()['id'])}`);
    if (operation === 'addToRiskList') this.documents.add(`risk_lists ${String(body()['id'])}`);
    const fixed = fixedDocuments[operation];
    if (fixed) this.documents.add(fixed);
    if (operation === 'createRedemption') this.redemptions.add(String(body()['id']));
    if (operation === 'createPayment') this.payments.add(String(body()['id']));
  }

  async check(): Promise<void> {
    expect(await settledReport(this.stack)).toMatchObject({ ok: true, problems: [] });
    expect(sorted(await this.eventIds())).toEqual(sorted(this.events));
    const documents = await this.column(`kind || ' ' || key`, 'documents');
    expect(sorted(documents)).toEqual(sorted(this.documents));
    const redemptions = await this.column(`distinct 'rdm_' || id`, 'redemptions');
    expect(sorted(redemptions)).toEqual(sorted(this.redemptions));
    const payments = await this.column(`'pay_' || id`, 'payments');
    expect(sorted(payments)).toEqual(sorted(this.payments));
    await this.checkRedis();
    for (const seen of [this.events, this.documents, this.redemptions, this.payments])
      expect(seen.size).toBeGreaterThan(0);
  }

  private async eventIds(): Promise<string[]> {
    const types = eventDefinitions.flatMap(({ type, origin }) =>
      origin === 'public' ? [type] : [],
    );
    const { owner } = this.stack;
    const rows = await owner<{ event_id: string }[]>`
      select event_id from outcomes
      where tenant_id = ${this.tenant} and type in ${owner(types)}
      union all select event_id from dead_letters where tenant_id = ${this.tenant}`;
    return rows.map((row) => row.event_id);
  }

  private async column(expression: string, table: string): Promise<string[]> {
    const { owner } = this.stack;
    const rows = await owner.unsafe<{ value: string }[]>(
      `select ${expression} as value from ${table} where tenant_id = $1`,
      [this.tenant],
    );
    return rows.map(({ value }) => value);
  }

  private async checkRedis(): Promise<void> {
    const redis = producerClient(this.stack.redisUrl, 'traces');
    await redisReady(redis);
    const keys = await redis.keys('*');
    redis.disconnect();
    const strange = keys.filter((key) => !names.some((name) => name.test(key)));
    expect(strange).toEqual([]);
    const once = keys.filter((key) => key.startsWith('idempotency:'));
    const chosen = (key: string): string => key.split(':').slice(3).join(':');
    expect(sorted(once.map(chosen))).toEqual(sorted(this.onceKeys));
  }
}

function sorted(values: Iterable<string>): string[] {
  return [...values].toSorted();
}
