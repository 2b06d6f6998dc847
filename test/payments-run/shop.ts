// The shop of a run: its buyers' wishes over HTTP, as an honest client does it. An answer that is
// lost, or says to come back, is asked for again under the same key, at any of the addresses.
// Invariant: nothing is taken for accepted that was not answered so.
import type { PaymentStatus } from '../../schemas/payments.ts';
import { Buyers, type Reply, type Tally } from '../prove/buyer.ts';
import type { Stage } from './stage.ts';
import { type Wish, restsAs } from './wishes.ts';

export interface Order {
  wish: Wish;
  /** Null where it was not accepted. */
  id: string | null;
  /** What was asked back, in all. */
  refundAsked: number;
}

const FOLLOWED_WITHIN_MS = 180_000;
const LOOK_MS = { first: 100, max: 1_500 };
const final: ReadonlySet<unknown> = new Set<PaymentStatus>(['failed', 'cancelled', 'refunded']);

export class Shop {
  readonly orders: Order[] = [];
  private readonly buyers: Buyers;

  constructor(
    private readonly stage: Stage,
    random: () => number,
  ) {
    this.buyers = new Buyers(() => stage.urls, stage.tenant.key, random);
  }

  /** What no honest client may see is in `wrong`. */
  get tally(): Tally {
    return this.buyers.tally;
  }

  async serve(wish: Wish): Promise<void> {
    const order: Order = { wish, id: await this.pay(wish), refundAsked: 0 };
    this.orders.push(order);
    if (order.id !== null) await this.goOn(order, order.id);
  }

  /** Gives the payment's id. */
  private async pay(wish: Wish): Promise<string | null> {
    const { amount, currency, method, token, capture, gateway, n } = wish;
    const body = {
      amount: { amount, currency },
      ...{ customer_id: `c_${n}`, order_id: `o_${n}`, method: { type: method, token }, capture },
      ...(gateway !== undefined && { gateway }),
    };
    const key = crypto.randomUUID();
    const ask = () => this.buyers.send('POST', '/v1/payments', body, key);
    this.tally.attempts++;
    const [reply, again] = wish.twice ? await Promise.all([ask(), ask()]) : [await ask()];
    if (again && again.body['id'] !== reply?.body['id'])
      this.wrong(`one key, two payments: ${said(reply)}, ${said(again)}`);
    if (reply?.status !== 202) {
      this.tally.refused++;
      this.wrong(`a payment was not accepted: ${said(reply)}`);
      return null;
    }
    this.tally.accepted++;
    return String(reply.body['id']);
  }

  private async goOn(order: Order, id: string): Promise<void> {
    const { kind, part, currency } = order.wish;
    const amount = { amount: { amount: part, currency } };
    switch (kind) {
      case 'captured':
      case 'captured in part':
        if (await this.becomes(id, 'authorized'))
          await this.command(id, 'capture', kind === 'captured' ? {} : amount);
        return;
      case 'cancelled':
        if (await this.becomes(id, 'authorized')) await this.command(id, 'cancel', {});
        return;
      case 'refunded in part':
      case 'refunded':
      case 'refund bounces':
        if (await this.becomes(id, 'captured')) await this.giveBack(order, id, amount);
        return;
      case 'dispute won':
      case 'dispute lost':
        if (await this.becomes(id, 'captured'))
          await this.stage.sandbox.dispute(id, kind === 'dispute won' ? 'won' : 'lost');
        return;
      default:
        if (restsAs[kind] === undefined) throw new Error(`nobody knows how to serve ${kind}`);
    }
  }

  private async giveBack(order: Order, id: string, part: object): Promise<void> {
    const { wish } = order;
    if (wish.kind === 'refunded') await this.command(id, 'refunds', part);
    // Without an amount: all that is left.
    await this.command(id, 'refunds', wish.kind === 'refunded in part' ? part : {});
    order.refundAsked = wish.kind === 'refunded in part' ? wish.part : wish.amount;
  }

  /** Of a payment in the right state, so that a refusal is wrong. */
  private async command(id: string, action: string, body: object): Promise<void> {
    const path = `/v1/payments/${id}/${action}`;
    const reply = await this.buyers.send('POST', path, body, crypto.randomUUID());
    // The ledger is behind: what is asked for next shall know of it.
    if (reply?.status === 202) await this.reaches(id, String(reply.body['position']));
    else if (reply?.status !== 200) this.wrong(`${action} of ${id}: ${said(reply)}`);
  }

  private async reaches(id: string, position: string): Promise<void> {
    const reply = await this.buyers.send('GET', `/v1/payments/${id}?at_least=${position}`);
    if (reply?.status !== 200) this.wrong(`${id} at ${position}: ${said(reply)}`);
  }

  /** False when it ends as something else before that. */
  private async becomes(id: string, wanted: PaymentStatus): Promise<boolean> {
    let pauseMs = LOOK_MS.first;
    for (const deadline = Date.now() + FOLLOWED_WITHIN_MS; Date.now() < deadline;) {
      const reply = await this.buyers.send('GET', `/v1/payments/${id}`);
      const status = reply?.body['status'];
      if (status === wanted) return true;
      if (final.has(status)) return false;
      await Bun.sleep(pauseMs);
      pauseMs = Math.min(pauseMs * 1.5, LOOK_MS.max);
    }
    this.wrong(`${id} was not ${wanted} in time`);
    return false;
  }

  private wrong(what: string): void {
    this.buyers.wrong(what);
  }
}

function said(reply: Reply | null | undefined): string {
  return reply ? `${reply.status} ${JSON.stringify(reply.body)}` : 'no answer';
}
