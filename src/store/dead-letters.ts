// Dead letters for the operator: browse, send round again, give up.
import { eventDefinition } from '../../schemas/index.ts';
import type { Sql } from '../io/postgres.ts';
import { decodeBody } from '../stream/codec.ts';
import { textArray } from './columns.ts';

export interface DeadLetter {
  id: string;
  tenant: string;
  event_id: string;
  type: string;
  position: string;
  /** More than 1 only for a stream entry that could not be taken apart. */
  events: number;
  reason: string;
  detail: string;
  attempts: number;
  status: 'dead' | 'retried' | 'discarded';
  accepted_at: string;
  died_at: string;
}

export interface DeadLetterBody extends DeadLetter {
  /** The event's data, or null when its bytes do not decode. */
  data: unknown;
  body_hex: string;
}

export async function listDeadLetters(
  sql: Sql,
  query: { status: string; before: Date; limit: number },
): Promise<DeadLetter[]> {
  const rows = await sql`
    select * from system_dead_letters(${query.status}, ${query.before}, ${query.limit})`;
  return rows.map(deadLetterOf);
}

export async function showDeadLetter(sql: Sql, id: string): Promise<DeadLetterBody | null> {
  const [row] = await sql`select * from system_dead_letter(${id}::text::uuid)`;
  if (!row) return null;
  const body = row['body'] as Buffer;
  return {
    ...deadLetterOf(row),
    data: dataOf(row['type'] as string, body),
    body_hex: body.toString('hex'),
  };
}

/** Without ids: every dead letter. Gives how many were moved. */
export function retryDeadLetters(sql: Sql, ids: Ids, actor: string): Promise<number> {
  return countOf(
    sql`select system_dead_letters_retry(${wanted(ids)}::text::uuid[], ${actor}) as n`,
  );
}

export function discardDeadLetters(sql: Sql, ids: Ids, actor: string): Promise<number> {
  return countOf(sql`
    select system_dead_letters_discard(${wanted(ids)}::text::uuid[], ${actor}) as n`);
}

type Ids = readonly string[] | null;

function wanted(ids: Ids): string | null {
  return ids && textArray(ids);
}

async function countOf(query: PromiseLike<readonly Record<string, unknown>[]>): Promise<number> {
  const [row] = await query;
  return row!['n'] as number;
}

function deadLetterOf(row: Record<string, unknown>): DeadLetter {
  return {
    id: row['id'] as string,
    tenant: row['tenant'] as string,
    event_id: row['event_id'] as string,
    type: row['type'] as string,
    position: `${row['stream'] as string}.${String(row['stream_offset'])}`,
    events: row['events'] as number,
    reason: row['reason'] as string,
    detail: row['detail'] as string,
    attempts: row['attempts'] as number,
    status: row['status'] as DeadLetter['status'],
    accepted_at: (row['accepted_at'] as Date).toISOString(),
    died_at: (row['died_at'] as Date).toISOString(),
  };
}

function dataOf(type: string, body: Buffer): unknown {
  const definition = eventDefinition.get(type);
  try {
    return definition ? decodeBody(definition, body).data : null;
  } catch {
    return null;
  }
}
