// Where the proof takes place and what it is judged by: our own stack, whose rows are read as the
// owner of the database, or somebody's, of which only the API is known.
import type { Sql } from '../../src/io/postgres.ts';
import { textArray } from '../../src/store/columns.ts';
import { eventually } from '../processes.ts';
import type { Step } from './audit.ts';
import { type Purchase, request } from './buyer.ts';
import type { Stage } from './stage.ts';

export interface Ground {
  urls(): readonly string[];
  key: string;
  /** Resolves when the ledger has everything that was decided. */
  settled(codes: readonly string[]): Promise<void>;
  /** Reservations that wait for their time to be up, which it will be soon. */
  due(codes: readonly string[], known: readonly Purchase[]): Promise<number>;
  /** Uses taken and given back of each code, in the order of their streams. */
  steps(codes: readonly string[], known: readonly Purchase[]): Promise<Map<string, Step[]>>;
  /** What the ledger has of a redemption, by id; it may not tell reserved from committed. */
  statuses(codes: readonly string[]): Promise<Map<string, string>>;
}

export function ownGround(stage: Stage): Ground {
  const { stack, tenant } = stage;
  const { owner } = stack;
  return {
    urls: () => stage.urls,
    key: tenant.key,
    settled: () => stage.settled(),
    async due(codes) {
      const [row] = await owner`
        select count(*)::int as due from redemptions
        where tenant_id = ${tenant.id} and status = 'reserved'
          and code = any (${textArray(codes)}::text::text[])
          and expires_at < now() + interval '60 seconds'`;
      return row!['due'] as number;
    },
    steps: (codes) => stepsInRows(owner, tenant.id, codes),
    async statuses() {
      const rows = await owner<{ id: string; status: string }[]>`
        select distinct 'rdm_' || id::text as id, status from redemptions
        where tenant_id = ${tenant.id}`;
      return new Map(rows.map(({ id, status }) => [id, status]));
    },
  };
}

async function stepsInRows(
  owner: Sql,
  tenant: number,
  codes: readonly string[],
): Promise<Map<string, Step[]>> {
  const uses = await owner`
    select code, 'rdm_' || id::text as id, customer_id as customer, order_id as "order",
           discount::float8 as discount, terms_version as version
    from redemptions
    where tenant_id = ${tenant} and code = any (${textArray(codes)}::text::text[])`;
  const ofRedemption = Map.groupBy(uses as unknown as Omit<Step, 'taken'>[], ({ id }) => id);
  const events = await owner<{ id: string; taken: boolean }[]>`
    select split_part(event_id, '/', 1) as id, type = 'redemption.reserved' as taken from outcomes
    where tenant_id = ${tenant} and verdict = 1
      and type in ('redemption.reserved', 'redemption.released')
    order by stream, stream_offset`;
  const steps = new Map<string, Step[]>(codes.map((code) => [code, []]));
  for (const { id, taken } of events)
    for (const use of ofRedemption.get(id) ?? []) steps.get(use.code)!.push({ ...use, taken });
  return steps;
}

interface Entry {
  event_id: string;
  amount: { amount: number };
}

/** Over the API alone: the entries of `coupon:CODE:uses`, and what buyers were told of the rest. */
export function foreignGround(url: string, key: string): Ground {
  const get = async <T>(path: string): Promise<T> => {
    const found = await eventually(
      path,
      async () => {
        const reply = await request(url, key, 'GET', path);
        return reply?.status === 200 ? reply : null;
      },
      120_000,
    );
    return found.body as T;
  };
  const account = (code: string): string =>
    `/v1/accounts/${encodeURIComponent(`coupon:${code}:uses`)}`;
  const entriesOf = async (code: string): Promise<Entry[]> => {
    const entries: Entry[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { data: Entry[]; next_cursor: string | null } = await get(
        `${account(code)}/entries?limit=200${query}`,
      );
      entries.push(...page.data);
      cursor = page.next_cursor;
    }
    return entries.reverse();
  };
  const usage = async (code: string) => {
    const { usage: used } = await get<{ usage: { reserved: number; redeemed: number } }>(
      `/v1/coupons/${code}`,
    );
    return used;
  };
  return {
    urls: () => [url],
    key,
    async settled(codes) {
      for (const code of codes)
        await eventually(
          `the ledger has all uses of ${code}`,
          async () => {
            const { reserved, redeemed } = await usage(code);
            if (reserved + redeemed === 0) return true;
            const { balance } = await get<{ balance: { amount: number } }>(
              `${account(code)}/balance`,
            );
            return balance.amount === reserved + redeemed;
          },
          60_000,
        );
    },
    async due(_, known) {
      const soon = Date.now() + 60_000;
      // An order that asked for its own again is known twice, and may be committed by now.
      const committed = new Set(
        known.flatMap(({ id, status }) => (status === 'committed' ? id! : [])),
      );
      const ending = known.filter(
        ({ id, status, expiresAt }) =>
          status === 'reserved' && expiresAt < soon && !committed.has(id!),
      );
      const found = await Promise.all(
        [...new Set(ending.map(({ id }) => id))].map((id) =>
          get<{ status: string }>(`/v1/redemptions/${id}`),
        ),
      );
      return found.filter(({ status }) => status === 'reserved').length;
    },
    async steps(codes, known) {
      const told = new Map(known.map((purchase) => [purchase.id, purchase]));
      const steps = new Map<string, Step[]>();
      for (const code of codes) {
        const entries = await entriesOf(code);
        steps.set(
          code,
          entries.map(({ event_id, amount }) => {
            const id = event_id.split('/')[0]!;
            const of = told.get(id);
            const use = of?.uses.find((one) => one.code === code);
            const { customer = id, order = id } = of ?? {};
            const { discount = 0, version = 1 } = use ?? {};
            return { code, id, customer, order, discount, version, taken: amount.amount > 0 };
          }),
        );
      }
      return steps;
    },
    async statuses(codes) {
      const statuses = new Map<string, string>();
      for (const code of codes)
        for (const { event_id, amount } of await entriesOf(code))
          statuses.set(event_id.split('/')[0]!, amount.amount > 0 ? 'held' : 'released');
      return statuses;
    },
  };
}
