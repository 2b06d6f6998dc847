// Where the proof takes place and what it is judged by: our own stack, whose rows are read as the
// owner of the database, or somebody's, of which only the API is known.
import type { Sql } from '../../src/io/postgres.ts';
import { textArray } from '../../src/store/columns.ts';
import type { Step } from './audit.ts';
import type { Purchase } from './buyer.ts';
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
