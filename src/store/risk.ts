// Risk as it is stored: decisions, the queue of reviews, what customers have paid, and the salt of
// what is kept hashed.
// Invariant: an address, a device or a token is compared by its hash, and never kept as it is.
import type { Assessment, RiskDecision, RiskSubject } from '../../schemas/risk.ts';
import type { Sql } from '../io/postgres.ts';
import { textArray } from './columns.ts';
import type { PaymentRow } from './payments.ts';

export interface StoredDecision {
  decidedAt: Date;
  body: Assessment;
  reviews: readonly { actor: string; at: string; to: string; reason: string | null }[];
}

export async function riskOf(
  sql: Sql,
  tenant: number,
  paymentId: string,
): Promise<StoredDecision | null> {
  const [row] = await sql`select * from risk_decision_get(${tenant}, ${paymentId})`;
  if (!row) return null;
  return {
    decidedAt: row['decided_at'] as Date,
    body: row['body'] as Assessment,
    reviews: row['reviews'] as StoredDecision['reviews'],
  };
}

export type ReviewRow<Body> = PaymentRow<Body> & { risk: Assessment | null };

/** Those that wait longest first. `after`: `<initiated_at>/<id>` of the last one seen. */
export async function paymentsToReview<Body>(
  sql: Sql,
  tenant: number,
  { after, limit }: { after: string | null; limit: number },
): Promise<ReviewRow<Body>[]> {
  const [at, id] = after?.split('/') ?? [null, null];
  const rows = await sql`
    select * from payments_to_review(${tenant}, ${at ?? null}::text::timestamptz, ${id ?? null},
      ${limit})`;
  return rows.map((row) => ({
    id: row['id'] as string,
    body: row['body'] as Body,
    updatedAt: row['updated_at'] as Date,
    risk: row['risk'] as Assessment | null,
  }));
}

/** A payment that was paid, and not taken back by a dispute. */
export interface Paid {
  id: string;
  initiatedMs: number;
  currency: string;
  amount: number;
  device: string | null;
  token: string | null;
}

export async function paidBy(
  sql: Sql,
  tenant: number,
  customers: readonly string[],
  { lookAt, limit }: { lookAt: number; limit: number },
): Promise<Map<string, Paid[]>> {
  const rows = await sql`
    select * from customer_payments_paid(${tenant}, ${textArray(customers)}::text::text[],
      ${lookAt}, ${limit})`;
  const paid = new Map<string, Paid[]>(customers.map((customer) => [customer, []]));
  for (const row of rows)
    paid.get(row['customer'] as string)!.push({
      id: `pay_${row['id'] as string}`,
      initiatedMs: (row['initiated_at'] as Date).getTime(),
      currency: row['currency'] as string,
      amount: Number(row['amount']),
      device: row['device'] as string | null,
      token: row['token'] as string | null,
    });
  return paid;
}

export async function saltOf(sql: Sql, tenant: number): Promise<string> {
  const [row] = await sql`select risk_salt(${tenant}) as salt`;
  return row!['salt'] as string;
}

/** 128 bits of SHA-256 with the tenant's salt: 22 characters. The same value as a device and as a
 * token is two. */
export function hashOf(salt: string, subject: RiskSubject, value: string): string {
  const hash = Bun.SHA256.hash(`${salt}\n${subject}\n${value}`) as Uint8Array;
  return Buffer.from(hash.buffer, hash.byteOffset, 16).toString('base64url');
}

export interface ComparisonRow {
  active: RiskDecision;
  shadow: RiskDecision;
  version: number;
  shadowVersion: number;
  payments: number;
  paid: number;
  failed: number;
  disputed: number;
}

export interface Span {
  from: string;
  to: string;
}

export async function compareRuleSets(
  sql: Sql,
  tenant: number,
  { from, to }: Span,
): Promise<ComparisonRow[]> {
  const rows = await sql`
    select * from risk_comparison(${tenant}, ${from}::text::timestamptz,
      ${to}::text::timestamptz)`;
  return rows.map((row) => ({
    active: row['active'] as RiskDecision,
    shadow: row['shadow'] as RiskDecision,
    version: row['version'] as number,
    shadowVersion: row['shadow_version'] as number,
    payments: Number(row['payments']),
    paid: Number(row['paid']),
    failed: Number(row['failed']),
    disputed: Number(row['disputed']),
  }));
}

export interface DifferenceRow {
  id: string;
  decidedAt: Date;
  status: string;
  body: Assessment;
}

export async function differences(
  sql: Sql,
  tenant: number,
  { from, to }: Span,
  limit: number,
): Promise<DifferenceRow[]> {
  const rows = await sql`
    select * from risk_differences(${tenant}, ${from}::text::timestamptz,
      ${to}::text::timestamptz, ${limit})`;
  return rows.map((row) => ({
    id: row['id'] as string,
    decidedAt: row['decided_at'] as Date,
    status: row['status'] as string,
    body: row['body'] as Assessment,
  }));
}
