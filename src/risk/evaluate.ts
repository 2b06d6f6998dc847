// What the rules make of the signals: a score, a decision and its reasons. Pure, so that a rule set
// can be tried on anything, and two of them on the same payment.
// Invariant: the decision follows from the score and the lists alone; a deny list comes before an
// allow list, and either before the rules.
import {
  REASONS_MAX,
  type RiskDecision,
  type RiskReason,
  type RiskRule,
  type RiskRules,
  type RiskSubject,
  type SignalName,
  type Signals,
} from '../../schemas/risk.ts';

export const SCORE_MAX = 1_000;

export interface Facts {
  signals: Readonly<Signals>;
  currency: string;
  methodType: string;
  /** By what the payment is on a list of the tenant. */
  denied: readonly RiskSubject[];
  allowed: readonly RiskSubject[];
}

export interface Verdict {
  score: number;
  decision: RiskDecision;
  reasons: RiskReason[];
}

export function evaluate({ rules, thresholds }: RiskRules, facts: Facts): Verdict {
  const hits = rules.filter((rule) => holds(rule, facts));
  const sum = hits.reduce((total, { points }) => total + points, 0);
  const score = facts.denied.length > 0 ? SCORE_MAX : Math.min(SCORE_MAX, Math.max(0, sum));
  const decision = decisionOf(score, thresholds, facts);
  // The heaviest first: of many, the last are left out.
  const heaviest = hits.toSorted((a, b) => Math.abs(b.points) - Math.abs(a.points));
  const reasons = [...listReasons(facts), ...heaviest.map((rule) => reasonOf(rule, facts.signals))];
  return { score, decision, reasons: reasons.slice(0, REASONS_MAX) };
}

function decisionOf(
  score: number,
  { review, block }: RiskRules['thresholds'],
  { denied, allowed }: Facts,
): RiskDecision {
  if (denied.length > 0) return 'block';
  if (allowed.length > 0) return 'allow';
  if (score >= block) return 'block';
  return score >= review ? 'review' : 'allow';
}

function holds(
  { when, currencies, method_types: methodTypes }: RiskRule,
  { signals, currency, methodType }: Facts,
): boolean {
  if (currencies && !currencies.includes(currency)) return false;
  if (methodTypes && !methodTypes.some((type) => type === methodType)) return false;
  return when.every(({ signal, at_least: least = -Infinity, at_most: most = Infinity }) => {
    const value = signals[signal as SignalName];
    return value !== undefined && value >= least && value <= most;
  });
}

function reasonOf({ name, points, reason }: RiskRule, signals: Readonly<Signals>): RiskReason {
  const value = (signal: string): string => String(signals[signal as SignalName] ?? 'unknown');
  const text = reason.replace(/\{(\w+)\}/g, (_, signal: string) => value(signal));
  return { rule: name, points, text: text.slice(0, 1_000) };
}

const subjectWords: Record<RiskSubject, string> = {
  user: 'customer',
  ip: 'address',
  device: 'device',
  token: 'token of the method',
};

function listReasons({ denied, allowed }: Facts): RiskReason[] {
  const reason = (list: 'deny' | 'allow', points: number) => (subject: RiskSubject) => ({
    rule: `${list}_list`,
    points,
    text: `The ${subjectWords[subject]} is on the ${list} list.`,
  });
  return [...denied.map(reason('deny', SCORE_MAX)), ...allowed.map(reason('allow', 0))];
}
