// Coupons as a bulk import leaves them: CODE0000000 and on, all with the same terms.
import type { Stack } from '../../test/services.ts';
import type { CouponTerms } from '../../schemas/coupons.ts';

export async function putCoupons(
  { owner }: Stack,
  tenant: number,
  count: number,
  terms: CouponTerms,
): Promise<void> {
  await owner`
    insert into document_heads (tenant_id, kind, change) values (${tenant}, 'coupons', ${count})`;
  await owner`
    insert into documents (tenant_id, kind, key, version, change, body)
    select ${tenant}, 'coupons', 'CODE' || lpad((n - 1)::text, 7, '0'), 1, n,
           ${JSON.stringify(terms)}::text::jsonb from generate_series(1, ${count}::int) n`;
}
