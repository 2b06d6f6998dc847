// A checkout: an order reserves a code, then commits, releases, or forgets about it. It replays
// its requests under their idempotency keys, and comes again under new ones.
import type { Answer, Caller } from './caller.ts';
import type { Dice } from './dice.ts';
import type { History, Order } from './history.ts';

export interface CouponLimits {
  code: string;
  global?: number;
  perCustomer?: number;
  /** Minor units. */
  budget?: number;
}

/** What the auditor judges by; `terms` are what the product is told. */
export const coupons: readonly CouponLimits[] = [
  { code: 'FEW', global: 6 },
  { code: 'EACH', perCustomer: 2 },
  { code: 'PURSE', budget: 4_000 },
  { code: 'BOTH', global: 9, perCustomer: 1 },
];

export const DISCOUNT = 500;
const CUSTOMERS = 6;

export function termsOf({ global, perCustomer, budget }: CouponLimits): object {
  return {
    kind: 'fixed',
    value: { amount: DISCOUNT, currency: 'USD' },
    limits: {
      ...(global && { global }),
      ...(perCustomer && { per_customer: perCustomer }),
      ...(budget && { budget: { amount: budget, currency: 'USD' } }),
    },
  };
}

/** Answers that say no for good or for now, without an effect. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  'limit_reached',
  'customer_limit_reached',
  'budget_exhausted',
  'reserved_elsewhere',
  'already_redeemed',
  'already_released',
  'expired',
  'idempotency_in_flight',
]);

export class CouponClient {
  private number = 0;

  constructor(
    private readonly name: string,
    private readonly caller: Caller,
    private readonly history: History,
    private readonly dice: Dice,
  ) {}

  async turn(): Promise<void> {
    const { dice } = this;
    const order: Order = {
      id: `o_${this.name}_${this.number++}`,
      code: dice.pick(coupons).code,
      customer: `c_${dice.between(1, CUSTOMERS)}`,
      redemptions: new Set(),
      refused: false,
      tried: new Set(),
      told: [],
    };
    this.history.orders.push(order);
    const commits = dice.chance(0.15);
    const ttlS = dice.chance(0.3) ? 1 : 900;
    const id = await this.reserve(order, `${order.id}_a`, commits, ttlS);
    if (id && dice.chance(0.2)) await this.reserve(order, `${order.id}_a`, commits, ttlS, id);
    if (dice.chance(0.2)) await this.reserve(order, `${order.id}_b`, commits, ttlS);
    if (!id) return;
    const next = dice.weighted({ commit: 45, release: 30, both: 15, nothing: 10 });
    if (next === 'commit') await this.settle(order, id, 'commit');
    if (next === 'release') await this.settle(order, id, 'release');
    if (next === 'both')
      await Promise.all([this.settle(order, id, 'commit'), this.settle(order, id, 'release')]);
    if (next !== 'nothing' && dice.chance(0.2)) await this.read(id);
  }

  /** `again`: the request was answered with this redemption before. */
  private async reserve(
    order: Order,
    key: string,
    commit: boolean,
    ttlS: number,
    again?: string,
  ): Promise<string | null> {
    if (commit) order.tried.add('commit');
    const { code, customer } = order;
    const total = { amount: 5_000, currency: 'USD' };
    const answer = await this.caller.persist({
      method: 'POST',
      path: '/v1/redemptions',
      body: { code, customer_id: customer, order: { id: order.id, total }, ttl_s: ttlS, commit },
      headers: { 'idempotency-key': key },
    });
    if (!answer) return null;
    if (answer.replayed) this.history.replays++;
    if (answer.status !== 201) {
      order.refused = true;
      return this.refused(answer, `a reservation of ${code}`);
    }
    const id = answer.body['id'] as string;
    const inBetween = this.history.losses.length > 0;
    if (again !== undefined && id !== again && !inBetween)
      this.history.violate(`key ${key} was answered ${again}, and then ${id}`);
    this.told(order, answer);
    return id;
  }

  private async settle(order: Order, id: string, as: 'commit' | 'release'): Promise<void> {
    order.tried.add(as);
    const path = `/v1/redemptions/${id}/${as}`;
    const answer = await this.caller.persist({ method: 'POST', path });
    if (!answer) return;
    if (answer.status === 200) return this.told(order, answer);
    const lost = answer.status === 404 && this.history.losses.length > 0;
    if (!lost) this.refused(answer, `${as} of ${id}`);
  }

  private async read(id: string): Promise<void> {
    const answer = await this.caller.persist({ method: 'GET', path: `/v1/redemptions/${id}` }, 0.5);
    const lost = this.history.losses.length > 0;
    if (answer && answer.status !== 200 && !lost)
      this.history.violate(`redemption ${id} was answered ${answer.status} when read`);
  }

  private told(order: Order, { body, times }: Answer): void {
    const id = body['id'] as string;
    const status = body['status'] as Order['told'][0]['status'];
    order.redemptions.add(id);
    order.told.push({ id, status, ...times });
  }

  private refused(answer: Answer, what: string): null {
    const { status, body } = answer;
    if (status !== 409 || !REFUSALS.has(body['code']))
      this.history.violate(`${what} was answered ${status} ${String(body['code'])}`);
    return null;
  }
}
