// Disputes: listed, looked at, and answered by references to evidence. The answer is handed in at
// the gateway by a call of its own; what the gateway decides comes as news.
// Invariant: an answer is handed in once; the payment's rule, which knows, refuses another.
import type { Static } from '@sinclair/typebox';
import {
  Dispute,
  DisputeFilters,
  DisputeId,
  DisputeSummary,
  EvidencePending,
  EvidenceRequest,
  EvidenceSubmitted,
} from '../../schemas/payments-disputes.ts';
import { closed } from '../../schemas/primitives.ts';
import { refuseCardNumbers } from '../http/card-numbers.ts';
import { type CommandParts, carryOutCommand, timeOfId } from '../http/command.ts';
import { isTimeAnd, page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { type ProblemCode, catalogue, problem } from '../http/problem.ts';
import { type Context, type Outcome, type Route, defineRoute, json } from '../http/route.ts';
import { type DisputeRow, type EvidenceRow, disputeOf, disputesOf } from '../store/disputes.ts';

/** How long an answer waits for the ledger before it is 202. */
const WAIT_MS = 5_000;

const params = closed({ id: DisputeId });
const nobody = { id: 'dp_nobody' };
const read = {
  tag: 'disputes',
  scope: ['payments:write', 'finance:approve'],
  limit: 'requests',
} as const;

export function disputeRoutes(parts: CommandParts): Route[] {
  return [listDisputes(parts), getDispute(parts), submitEvidence(parts)];
}

function listDisputes({ sql }: CommandParts): Route {
  return defineRoute({
    ...read,
    name: 'listDisputes',
    method: 'GET',
    path: '/v1/disputes',
    summary: 'Disputes, newest first',
    description: 'Those to answer: `?status=open&evidence_status=none`, by `due_by`.',
    query: closed({ ...pageQuery, ...DisputeFilters }),
    answers: { 200: { description: 'A page.', schema: pageOf(DisputeSummary) } },
    examples: [{ name: 'none to answer', status: 200, query: { status: 'open', limit: 10 } }],
    async handler({ tenant, query }) {
      const { limit, after } = readPage(query, isTimeAnd(DisputeId));
      const rows = await disputesOf(sql, tenant, query, { before: after, limit: limit + 1 });
      const cursorOf = (row: DisputeRow): string =>
        `${new Date(row.created_at).toISOString()}/${row.id}`;
      return json(200, page(rows, limit, cursorOf, summaryOf));
    },
  });
}

function getDispute({ sql }: CommandParts): Route {
  return defineRoute({
    ...read,
    name: 'getDispute',
    method: 'GET',
    path: '/v1/disputes/{id}',
    summary: 'A dispute, and what was handed in',
    params,
    answers: { 200: { description: 'The dispute.', schema: Dispute } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    async handler({ tenant, params: { id } }) {
      const found = await disputeOf(sql, tenant, id);
      return found ? json(200, answerOf(found)) : unknown();
    },
  });
}

function submitEvidence(parts: CommandParts): Route {
  return defineRoute({
    name: 'submitEvidence',
    method: 'POST',
    path: '/v1/disputes/{id}/evidence',
    tag: 'disputes',
    summary: 'Answer a dispute',
    description:
      'Hands the evidence in at the gateway, once: it cannot be added to. Files are named by the ' +
      'id that the gateway gave them. Where it refuses, `evidence_status` says so, and a better ' +
      'answer may follow.',
    scope: 'payments:write',
    limit: 'payments',
    accepts: true,
    idempotent: true,
    params,
    body: EvidenceRequest,
    answers: {
      200: { description: 'On its way to the gateway.', schema: Dispute },
      202: { description: 'Accepted; the ledger is behind.', schema: EvidencePending },
    },
    problems: [404, 409],
    examples: [
      {
        name: 'unknown',
        status: 404,
        params: nobody,
        body: { items: [{ type: 'shipping', reference: 'DHL 00340434' }] },
        headers: { 'Idempotency-Key': 'example-evidence' },
      },
    ],
    handler: (context) => submit(parts, context),
  });
}

async function submit(
  parts: CommandParts,
  context: Context<Static<typeof EvidenceRequest>, { id: string }>,
): Promise<Outcome> {
  const { tenant, traceparent, body, key, onceId } = context;
  const { id: dispute_id } = context.params;
  refuseCardNumbers(body);
  const found = await disputeOf(parts.sql, tenant, dispute_id);
  if (!found) return unknown();
  const submission_id = `evd_${onceId}`;
  const data: Static<(typeof EvidenceSubmitted)['data']> = {
    payment_id: found.dispute.payment_id,
    dispute_id,
    submission_id,
    items: body.items,
    ...(body.note !== undefined && { note: body.note }),
    actor: `key:${key.id}`,
    submitted_at: timeOfId(onceId),
  };
  const event = { definition: EvidenceSubmitted, tenant, id: submission_id, traceparent, data };
  const { position, verdict, reason } = await carryOutCommand(parts, event, WAIT_MS);
  if (verdict === 'pending') return json(202, { id: submission_id, status: 'pending', position });
  if (verdict === 'refused') {
    const code = (reason && reason in catalogue ? reason : 'wrong_status') as ProblemCode;
    return problem(409, code, catalogue[code].about);
  }
  return json(200, answerOf((await disputeOf(parts.sql, tenant, dispute_id))!));
}

function unknown() {
  return problem(404, 'not_found', 'No such dispute.');
}

function answerOf(found: { dispute: DisputeRow; evidence: readonly EvidenceRow[] }): Dispute {
  const evidence = found.evidence.map(
    ({ id, status, items, note, detail, submitted_by, submitted_at }) => ({
      ...{ id, status, items, note, detail, submitted_by },
      submitted_at: new Date(submitted_at).toISOString(),
    }),
  );
  return { ...summaryOf(found.dispute), evidence };
}

function summaryOf(row: DisputeRow): DisputeSummary {
  const { id, payment_id, gateway, status, fee, reason, evidence_status, due_by } = row;
  return {
    ...{ id, payment_id, gateway, status, fee, reason, evidence_status },
    amount: { amount: row.amount, currency: row.currency },
    due_by: due_by && new Date(due_by).toISOString(),
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}
