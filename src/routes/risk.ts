// Why a payment was let through, held or blocked; which ones wait for a verdict; and what a second
// rule set would have decided.
// Invariant: what is explained is what was decided then, by the rules that held then.
import { type Static, Type } from '@sinclair/typebox';
import { Payment, PaymentId, paymentStatuses } from '../../schemas/payments.ts';
import { AtLeast, Time, closed, nullable } from '../../schemas/primitives.ts';
import {
  Assessment,
  RiskDecision,
  RiskExplanation,
  RiskReason,
  type RiskRules,
} from '../../schemas/risk.ts';
import { words } from '../../schemas/coupons.ts';
import { isTimeAnd, page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { reach } from '../http/position.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import {
  type StoredDecision,
  compareRuleSets,
  differences,
  paymentsToReview,
  riskOf,
} from '../store/risk.ts';
import type { Settlement } from '../stream/settlement.ts';
import { type PaymentBody, paymentAnswer } from './payment-answer.ts';
import { riskListRoutes } from './risk-lists.ts';
import { riskRuleRoutes } from './risk-rules.ts';

export interface RiskParts {
  sql: Sql;
  settlement: Settlement;
  /** `defaults`: the rules of a tenant that has set none. */
  risk: { defaults: RiskRules };
}

const params = closed({ id: PaymentId });
const nobody = { id: 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05' };
const DIFFERENCES_MAX = 50;
const WEEK_MS = 7 * 24 * 3_600_000;

export function riskRoutes(parts: RiskParts): Route[] {
  return [
    explain(parts),
    listReviews(parts),
    ...riskRuleRoutes(parts),
    ...riskListRoutes(parts),
    compare(parts),
  ];
}

function explain({ sql, settlement }: RiskParts): Route {
  return defineRoute({
    name: 'getPaymentRisk',
    method: 'GET',
    path: '/v1/payments/{id}/risk',
    tag: 'risk',
    summary: 'Why a payment was let through, held for review or blocked',
    description:
      'The score, the rules that held with their points and words, and every signal. What people ' +
      'decided afterwards is in `reviews`.',
    scope: ['payments:write', 'finance:approve'],
    limit: 'requests',
    params,
    query: closed({ at_least: AtLeast }),
    answers: { 200: { description: 'The decision.', schema: RiskExplanation } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    async handler({ tenant, params: { id }, query }) {
      await reach(settlement, query.at_least);
      const found = await riskOf(sql, tenant, id);
      return found
        ? json(200, explanation(id, found))
        : problem(404, 'not_found', 'No such payment, or it has not been settled yet.');
    },
  });
}

function explanation(id: string, { decidedAt, body, reviews }: StoredDecision): RiskExplanation {
  const { score, decision, version = 0, signals = {}, reasons = [], shadow = null } = body;
  const thresholds = body.thresholds ?? { review: 1_000, block: 1_000 };
  return {
    payment_id: id,
    score,
    decision,
    summary: summaryOf(body),
    version,
    thresholds,
    reasons,
    signals,
    shadow,
    reviews: reviews.map(({ actor, at, to, reason }) => ({
      verdict: to === 'processing' ? ('approved' as const) : ('rejected' as const),
      actor,
      reason,
      at: new Date(at).toISOString(),
    })),
    decided_at: decidedAt.toISOString(),
  };
}

const decided = { allow: 'Let through', review: 'Held for review', block: 'Blocked' } as const;

function summaryOf({ decision, score, thresholds, reasons = [] }: Assessment): string {
  const byList = reasons.find(({ rule }) => rule === 'deny_list' || rule === 'allow_list');
  if (byList) return `${decided[decision]}: ${lowered(byList.text)}`;
  const bounds = thresholds
    ? `; review begins at ${thresholds.review}, blocking at ${thresholds.block}`
    : '';
  return `${decided[decision]}: the score is ${score}${bounds}.`;
}

function lowered(text: string): string {
  return text[0]!.toLowerCase() + text.slice(1);
}

const Review = closed({
  payment: Payment,
  risk: nullable(
    closed({
      score: Type.Integer(),
      summary: Type.String(),
      reasons: Type.Array(RiskReason),
    }),
  ),
});

function listReviews({ sql, settlement }: RiskParts): Route {
  return defineRoute({
    name: 'listReviews',
    method: 'GET',
    path: '/v1/reviews',
    tag: 'risk',
    summary: 'Payments that wait for approve or reject, the longest first',
    scope: 'finance:approve',
    limit: 'requests',
    query: closed({ ...pageQuery, at_least: AtLeast }),
    answers: { 200: { description: 'A page.', schema: pageOf(Review) } },
    examples: [{ name: 'all', status: 200 }],
    async handler({ tenant, query }) {
      await reach(settlement, query.at_least);
      const { limit, after } = readPage(query, isTimeAnd(PaymentId));
      const rows = await paymentsToReview<PaymentBody>(sql, tenant, { after, limit: limit + 1 });
      const cursorOf = (row: (typeof rows)[number]): string => `${row.body.initiated_at}/${row.id}`;
      return json(
        200,
        page(rows, limit, cursorOf, ({ risk, ...row }) => ({
          payment: paymentAnswer(row),
          risk: risk && {
            score: risk.score,
            summary: summaryOf(risk),
            reasons: risk.reasons ?? [],
          },
        })),
      );
    },
  });
}

const verdict = { decision: RiskDecision, score: Type.Integer() };
const Cell = closed({
  active: RiskDecision,
  shadow: RiskDecision,
  version: Type.Integer(),
  shadow_version: Type.Integer(),
  payments: Type.Integer(),
  paid: Type.Integer({ description: 'Captured, and not disputed.' }),
  failed: Type.Integer(),
  disputed: Type.Integer(),
});
const Difference = closed({
  payment_id: PaymentId,
  status: words(...paymentStatuses),
  active: closed(verdict),
  shadow: closed({ ...verdict, reasons: Type.Array(RiskReason) }),
  decided_at: Time,
});
const Comparison = closed({
  from: Time,
  to: Time,
  cells: Type.Array(Cell),
  differences: Type.Array(Difference, { description: 'The newest 50.' }),
});
type Comparison = Static<typeof Comparison>;

function compare({ sql }: RiskParts): Route {
  return defineRoute({
    name: 'compareRiskRules',
    method: 'GET',
    path: '/v1/risk/comparison',
    tag: 'risk',
    summary: 'What the shadow rules would have decided, and what became of those payments',
    scope: ['finance:approve', 'admin'],
    limit: 'requests',
    query: closed({
      from: Type.Optional({ ...Time, description: 'Default: a week before `to`.' }),
      to: Type.Optional({ ...Time, description: 'Default: now.' }),
    }),
    answers: { 200: { description: 'The comparison.', schema: Comparison } },
    examples: [{ name: 'the last week', status: 200 }],
    async handler({ tenant, query }) {
      const to = query.to ?? new Date().toISOString();
      const from = query.from ?? new Date(Date.parse(to) - WEEK_MS).toISOString();
      const span = { from, to };
      const cells = (await compareRuleSets(sql, tenant, span)).map(
        ({ shadowVersion, ...cell }) => ({ ...cell, shadow_version: shadowVersion }),
      );
      const rows = await differences(sql, tenant, span, DIFFERENCES_MAX);
      const shown = rows.map(({ id, status, decidedAt, body }) => ({
        payment_id: id,
        status: status as Comparison['differences'][number]['status'],
        active: { decision: body.decision, score: body.score },
        shadow: {
          decision: body.shadow!.decision,
          score: body.shadow!.score,
          reasons: body.shadow!.reasons,
        },
        decided_at: decidedAt.toISOString(),
      }));
      return json(200, { from, to, cells, differences: shown } satisfies Comparison);
    },
  });
}
