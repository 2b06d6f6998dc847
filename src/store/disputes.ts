// Reads of disputes. What is written is written by the rules of payments.
import type {
  DisputeStatus,
  EvidenceItem,
  EvidenceStatus,
} from '../../schemas/payments-disputes.ts';
import type { GatewayName } from '../../schemas/payments.ts';
import type { Sql } from '../io/postgres.ts';

export interface DisputeRow {
  id: string;
  payment_id: string;
  customer_id: string;
  gateway: GatewayName;
  currency: string;
  amount: number;
  fee: number;
  status: DisputeStatus;
  reason: string | null;
  evidence_status: EvidenceStatus;
  due_by: string | null;
  created_at: string;
  updated_at: string;
}

export interface EvidenceRow {
  id: string;
  status: Exclude<EvidenceStatus, 'none'>;
  items: EvidenceItem[];
  note: string | null;
  detail: string | null;
  submitted_by: string;
  submitted_at: string;
}

export interface DisputeFilter {
  status?: string | undefined;
  evidence_status?: string | undefined;
  gateway?: string | undefined;
  payment_id?: string | undefined;
  customer_id?: string | undefined;
  due_before?: string | undefined;
}

/** One that nobody has answered, and that is due soon. */
export interface DueDispute {
  tenant: number;
  id: string;
  paymentId: string;
  dueBy: Date;
}

export async function disputeOf(
  sql: Sql,
  tenant: number,
  id: string,
): Promise<{ dispute: DisputeRow; evidence: EvidenceRow[] } | null> {
  const [row] = await sql`select * from dispute_get(${tenant}, ${id})`;
  if (!row) return null;
  return { dispute: row['dispute'] as DisputeRow, evidence: row['evidence'] as EvidenceRow[] };
}

/** Newest first. `before`: where the last page ended, as `<time>/<id>`. */
export async function disputesOf(
  sql: Sql,
  tenant: number,
  filter: DisputeFilter,
  { before, limit }: { before: string | null; limit: number },
): Promise<DisputeRow[]> {
  const slash = before?.indexOf('/') ?? -1;
  const [at, id] =
    before === null ? [null, null] : [before.slice(0, slash), before.slice(slash + 1)];
  const { status = null, evidence_status: evidence = null, gateway = null } = filter;
  const { payment_id: payment = null, customer_id: customer = null, due_before = null } = filter;
  const rows = await sql`
    select * from disputes_list(${tenant}, ${status}, ${evidence}, ${gateway}, ${payment},
      ${customer}, ${due_before}::text::timestamptz, ${at}::text::timestamptz, ${id}, ${limit})`;
  return rows.map((row) => row['dispute'] as DisputeRow);
}

export async function dueDisputes(sql: Sql, before: Date, limit: number): Promise<DueDispute[]> {
  const rows = await sql`
    select * from system_disputes_due(${before.toISOString()}::text::timestamptz, ${limit})`;
  return rows.map((row) => ({
    tenant: row['tenant_id'] as number,
    id: row['id'] as string,
    paymentId: row['payment_id'] as string,
    dueBy: row['due_by'] as Date,
  }));
}

/** Of all tenants. `overdue` are among the `unanswered`. */
export async function disputeCounts(sql: Sql) {
  const [row] = await sql`select * from system_disputes_state()`;
  return {
    unanswered: Number(row!['unanswered']),
    answered: Number(row!['answered']),
    overdue: Number(row!['overdue']),
    nextDueS: row!['next_due_s'] as number | null,
  };
}
