// Buyers over HTTP. A buyer whose answer is lost, or who is told to come back, asks again under the
// same key, at any of the addresses, until there is an answer; so an unknown outcome becomes known.
// Invariant: nothing is taken for accepted that the product has not answered so.
import { requestOf } from '../client.ts';

export interface Purchase {
  order: string;
  customer: string;
  /** When it was first asked for: terms stored before hold. */
  askedAt: number;
  id: string | null;
  /** As last acknowledged. */
  status: 'reserved' | 'committed' | 'released' | null;
  expiresAt: number;
  uses: { code: string; discount: number; version: number }[];
  refusal: string | null;
}

export interface Tally {
  attempts: number;
  accepted: number;
  refused: number;
  /** Answers that did not come, or said that the outcome is not known. */
  unknown: number;
  /** Requests that were never answered. */
  unresolved: number;
  /** What no honest client may see. */
  wrong: string[];
}

export interface Reply {
  status: number;
  body: Record<string, unknown>;
}

export interface Wish {
  codes: string[];
  order: string;
  customer?: string;
  total?: number;
  ttlS?: number;
  commit?: boolean;
  key?: string;
}

const ANSWER_WITHIN_MS = 8_000;
const GIVE_UP_MS = 60_000;
const PAUSE_MS = 40;

export class Buyers {
  readonly purchases: Purchase[] = [];
  tally: Tally = emptyTally();

  constructor(
    private readonly urls: () => readonly string[],
    private readonly key: string,
    private readonly random: () => number,
  ) {}

  async buy(wish: Wish): Promise<Purchase> {
    const { codes, order, customer = `c_${order}`, total = 5_000, ttlS, commit, key } = wish;
    const body = {
      ...(codes.length === 1 ? { code: codes[0] } : { codes }),
      ...{ customer_id: customer, order: { id: order, total: { amount: total, currency: 'USD' } } },
      ...(ttlS === undefined ? {} : { ttl_s: ttlS }),
      ...(commit ? { commit } : {}),
    };
    const askedAt = Date.now();
    this.tally.attempts++;
    const idempotency = key ?? crypto.randomUUID();
    const reply = await this.send('POST', '/v1/redemptions', body, idempotency);
    const purchase: Purchase = {
      ...{
        order,
        customer,
        askedAt,
        id: null,
        status: null,
        expiresAt: 0,
        uses: [],
        refusal: null,
      },
    };
    if (reply?.status === 201) {
      const { id, status, expires_at, codes: told } = reply.body as unknown as Redemption;
      const uses = told.map((use) => ({ ...use, discount: use.discount.amount }));
      Object.assign(purchase, { id, status, expiresAt: Date.parse(expires_at), uses });
      this.tally.accepted++;
      this.purchases.push(purchase);
    } else if (reply) {
      purchase.refusal = String(reply.body['code']);
      this.tally.refused++;
    }
    return purchase;
  }

  /** Gives the code of a refusal, or null where it is done. */
  async settle(purchase: Purchase, verb: 'commit' | 'release'): Promise<string | null> {
    const reply = await this.send('POST', `/v1/redemptions/${purchase.id}/${verb}`, {});
    if (reply?.status !== 200) return String(reply?.body['code'] ?? 'unknown');
    // A release may have overtaken the answer to a commit; it stays.
    if (purchase.status !== 'released')
      purchase.status = verb === 'commit' ? 'committed' : 'released';
    return null;
  }

  /** The final answer; null where there was none in time. */
  async send(
    method: string,
    path: string,
    body?: object,
    idempotencyKey?: string,
  ): Promise<Reply | null> {
    for (const deadline = Date.now() + GIVE_UP_MS; Date.now() < deadline;) {
      const reply = await this.once(method, path, body, idempotencyKey);
      if (reply && !isProvisional(reply)) {
        if (reply.status >= 500) this.wrong(`${reply.status} ${JSON.stringify(reply.body)}`);
        return reply;
      }
      if (!reply || reply.status === 503) this.tally.unknown++;
      await Bun.sleep(PAUSE_MS * (0.5 + this.random()));
    }
    this.tally.unresolved++;
    return null;
  }

  wrong(what: string): void {
    this.tally.wrong.push(what);
  }

  private async once(
    method: string,
    path: string,
    body: object | undefined,
    idempotencyKey: string | undefined,
  ): Promise<Reply | null> {
    const urls = this.urls();
    const url = urls[Math.floor(this.random() * urls.length)]!;
    return await request(url, this.key, method, path, body, idempotencyKey);
  }
}

interface Redemption {
  id: string;
  status: string;
  expires_at: string;
  codes: { code: string; discount: { amount: number }; version: number }[];
}

/** Null where no answer came. */
export async function request(
  url: string,
  key: string,
  method: string,
  path: string,
  body?: object,
  idempotencyKey?: string,
): Promise<Reply | null> {
  try {
    const once = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    const response = await fetch(`${url}${path}`, {
      ...requestOf(key, method, body, once),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    return { status: response.status, body: (await response.json()) as Reply['body'] };
  } catch {
    return null;
  }
}

/** To be asked again: nothing was decided, or nobody knows. */
function isProvisional({ status, body }: Reply): boolean {
  return status === 503 || status === 429 || body['code'] === 'idempotency_in_flight';
}

export function emptyTally(): Tally {
  return { attempts: 0, accepted: 0, refused: 0, unknown: 0, unresolved: 0, wrong: [] };
}
