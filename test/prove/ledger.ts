// The rows of the ledger that the audit is made from, read as the owner of the database.
import { textArray } from '../../src/store/columns.ts';
import type { Sql } from '../../src/io/postgres.ts';
import type { CouponTerms } from '../../schemas/coupons.ts';
import type { Limits, Step } from './audit.ts';

/** Uses taken and given back of each code, in the order of their streams. */
export async function stepsOf(
  owner: Sql,
  tenant: number,
  codes: readonly string[],
): Promise<Map<string, Step[]>> {
  const uses = await owner`
    select code, id::text as id, customer_id as customer, order_id as "order",
           discount::float8 as discount, terms_version as version
    from redemptions
    where tenant_id = ${tenant} and code = any (${textArray(codes)}::text::text[])`;
  const ofRedemption = Map.groupBy(uses as unknown as Omit<Step, 'taken'>[], ({ id }) => id);
  const events = await owner<{ id: string; taken: boolean }[]>`
    select substr(event_id, 5, 36) as id, type = 'redemption.reserved' as taken from outcomes
    where tenant_id = ${tenant} and verdict = 1
      and type in ('redemption.reserved', 'redemption.released')
    order by stream, stream_offset`;
  const steps = new Map<string, Step[]>(codes.map((code) => [code, []]));
  for (const { id, taken } of events)
    for (const use of ofRedemption.get(id) ?? []) steps.get(use.code)!.push({ ...use, taken });
  return steps;
}

/** The limits of every version of a code's terms. */
export async function limitsOf(
  owner: Sql,
  tenant: number,
  code: string,
): Promise<Map<number, Limits>> {
  const rows = await owner<{ version: number; body: CouponTerms }[]>`
    select version, body from document_versions
    where tenant_id = ${tenant} and kind = 'coupons' and key = ${code}`;
  return new Map(
    rows.map(({ version, body }) => {
      const { global = null, per_customer: perCustomer = null, budget } = body.limits ?? {};
      const gift = body.kind === 'gift_balance' ? body.value : undefined;
      return [version, { global, perCustomer, budget: (gift ?? budget)?.amount ?? null }];
    }),
  );
}

export async function statusesOf(owner: Sql, tenant: number): Promise<Map<string, string>> {
  const rows = await owner<{ id: string; status: string }[]>`
    select distinct 'rdm_' || id::text as id, status from redemptions where tenant_id = ${tenant}`;
  return new Map(rows.map(({ id, status }) => [id, status]));
}
