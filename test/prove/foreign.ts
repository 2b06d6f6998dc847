// Judging a stack of which only the API is known: by the entries of `coupon:CODE:uses`, and by what
// the buyers were told of who holds a use and what it gives.
import { eventually } from '../processes.ts';
import type { Step } from './audit.ts';
import { type Purchase, request } from './buyer.ts';
import type { Ground } from './ground.ts';

interface Entry {
  event_id: string;
  amount: { amount: number };
}

interface Page {
  data: Entry[];
  next_cursor: string | null;
}

const ANSWERED_WITHIN_MS = 120_000;
const SETTLED_WITHIN_MS = 60_000;
const DUE_WITHIN_MS = 60_000;

export class ForeignGround implements Ground {
  constructor(
    private readonly url: string,
    readonly key: string,
  ) {}

  urls(): readonly string[] {
    return [this.url];
  }

  async settled(codes: readonly string[]): Promise<void> {
    for (const code of codes)
      await eventually(
        `the ledger has all uses of ${code}`,
        () => this.isSettled(code),
        SETTLED_WITHIN_MS,
      );
  }

  async due(_: readonly string[], known: readonly Purchase[]): Promise<number> {
    const soon = Date.now() + DUE_WITHIN_MS;
    // An order that asked for its own again is known twice, and may be committed by now.
    const committed = new Set(known.flatMap((one) => (one.status === 'committed' ? one.id : [])));
    const ending = known.filter(
      ({ id, status, expiresAt }) =>
        status === 'reserved' && expiresAt < soon && !committed.has(id),
    );
    const ids = [...new Set(ending.map(({ id }) => id))];
    const found = await Promise.all(
      ids.map((id) => this.get<{ status: string }>(`/v1/redemptions/${id}`)),
    );
    return found.filter(({ status }) => status === 'reserved').length;
  }

  async steps(codes: readonly string[], known: readonly Purchase[]) {
    const told = new Map(known.map((purchase) => [purchase.id, purchase]));
    const steps = new Map<string, Step[]>();
    for (const code of codes) {
      const entries = await this.entriesOf(code);
      steps.set(
        code,
        entries.map((entry) => stepOf(code, entry, told)),
      );
    }
    return steps;
  }

  async statuses(codes: readonly string[]): Promise<Map<string, string>> {
    const statuses = new Map<string, string>();
    for (const code of codes)
      for (const { event_id, amount } of await this.entriesOf(code))
        statuses.set(event_id.split('/')[0]!, amount.amount > 0 ? 'held' : 'released');
    return statuses;
  }

  private async isSettled(code: string): Promise<boolean> {
    const { usage } = await this.get<{ usage: { reserved: number; redeemed: number } }>(
      `/v1/coupons/${code}`,
    );
    const uses = usage.reserved + usage.redeemed;
    if (uses === 0) return true;
    const path = `${accountOf(code)}/balance`;
    return (await this.get<{ balance: { amount: number } }>(path)).balance.amount === uses;
  }

  /** Oldest first. */
  private async entriesOf(code: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (let query: string | null = '?limit=200'; query !== null;) {
      const page: Page = await this.get(`${accountOf(code)}/entries${query}`);
      entries.push(...page.data);
      const cursor = page.next_cursor;
      query = cursor === null ? null : `?limit=200&cursor=${encodeURIComponent(cursor)}`;
    }
    return entries.reverse();
  }

  private async get<T>(path: string): Promise<T> {
    const ask = async () => {
      const reply = await request(this.url, this.key, 'GET', path);
      return reply?.status === 200 ? reply : null;
    };
    return (await eventually(path, ask, ANSWERED_WITHIN_MS)).body as T;
  }
}

function accountOf(code: string): string {
  return `/v1/accounts/${encodeURIComponent(`coupon:${code}:uses`)}`;
}

function stepOf(
  code: string,
  { event_id, amount }: Entry,
  told: ReadonlyMap<string | null, Purchase>,
): Step {
  const id = event_id.split('/')[0]!;
  const purchase = told.get(id);
  const use = purchase?.uses.find((one) => one.code === code);
  const { customer = id, order = id } = purchase ?? {};
  const { discount = 0, version = 1 } = use ?? {};
  return { code, id, customer, order, discount, version, taken: amount.amount > 0 };
}
