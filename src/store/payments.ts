// Reads of payments. What is written is written by their rules.
import type { Sql } from '../io/postgres.ts';

export interface PaymentRow<Body> {
  id: string;
  body: Body;
  updatedAt: Date;
}

export async function paymentOf<Body>(
  sql: Sql,
  tenant: number,
  id: string,
): Promise<PaymentRow<Body> | null> {
  const [row] = await sql`select * from payment_get(${tenant}, ${id})`;
  return row ? rowOf<Body>(row) : null;
}

/** Newest first. `before`: where the last page ended, as `cursorOf` gave it. */
export async function paymentsOf<Body>(
  sql: Sql,
  tenant: number,
  { customer, before, limit }: { customer: string; before: string | null; limit: number },
): Promise<PaymentRow<Body>[]> {
  const [at, id] = before?.split('/') ?? [null, null];
  const rows = await sql`
    select * from payments_of(${tenant}, ${customer}, ${at ?? null}::text::timestamptz,
      ${id ?? null}, ${limit})`;
  return rows.map((row) => rowOf<Body>(row));
}

function rowOf<Body>(row: Record<string, unknown>): PaymentRow<Body> {
  return {
    id: row['id'] as string,
    body: row['body'] as Body,
    updatedAt: row['updated_at'] as Date,
  };
}
