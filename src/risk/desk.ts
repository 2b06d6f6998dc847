// Judges a payment when it is initiated: one script in Redis for what is counted, everything else
// from memory, but for the past of a customer that Redis knows nothing of, which Postgres is asked
// for once a day.
// Invariant: without Redis nothing is judged, and so nothing accepted; the rules of the tenant
// decide, and a second set only says what it would have decided.
import type { Redis } from 'ioredis';
import type { PaymentRequest } from '../../schemas/payments.ts';
import type { Assessment, RiskDecision, RiskRules, RuleSetName } from '../../schemas/risk.ts';
import { systemClock } from '../io/clock.ts';
import type { Log } from '../io/log.ts';
import type { Counter, Metrics } from '../io/metrics.ts';
import type { Sql } from '../io/postgres.ts';
import { hashOf, riskOf, saltOf } from '../store/risk.ts';
import { Counts, type Subjects } from './counts.ts';
import { defaultRules } from './default-rules.ts';
import { type Facts, evaluate } from './evaluate.ts';
import { PaidHistory, historySignals, membersRead, memberOf, parsed } from './history.ts';
import { Past } from './past.ts';
import { RiskSettings } from './settings.ts';

/** What is asked of a request. */
export interface Incoming {
  body: Pick<PaymentRequest, 'amount' | 'customer_id' | 'method' | 'device_id'>;
  /** As limits see it; empty where there is none. */
  ip: string;
}

export interface RiskDesk {
  /** The rules of a tenant that has set none. */
  readonly defaults: RiskRules;
  assess(tenant: number, paymentId: string, incoming: Incoming): Promise<Assessment>;
  /** Resolves when every change that was committed before the call is known. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
}

export interface RiskParts {
  redis: Redis;
  sql: Sql;
  metrics: Metrics;
  log: Log;
}

export async function openRiskDesk({ redis, sql, metrics, log }: RiskParts): Promise<RiskDesk> {
  const settings = new RiskSettings(sql, (error) =>
    log.warn({ error: String(error) }, 'rules and lists of risk are not up to date'),
  );
  const salts = new Salts(sql);
  const counts = new Counts(redis);
  const past = new Past({ sql, history: new PaidHistory(redis), clock: systemClock, log });
  const seconds = metrics
    .histogram('tallyrace_risk_seconds', 'What it takes to judge a payment.')
    .labels();
  const decisions = countersOf(metrics);
  await settings.ready();

  async function pastOf(tenant: number, customer: string, members: readonly string[]) {
    const known = membersRead(members);
    if (known) return known;
    const paid = await past.of(tenant, customer);
    return paid && paid.map((each) => parsed(memberOf(each)));
  }

  /** A request that runs again is answered as the first time, if that came as far as the ledger. */
  async function judgedBefore(tenant: number, paymentId: string): Promise<Assessment | null> {
    return (await riskOf(sql, tenant, paymentId))?.body ?? null;
  }

  async function judge(tenant: number, paymentId: string, { body, ip }: Incoming) {
    const { amount, customer_id: customer, method } = body;
    const subjects = subjectsOf(await salts.of(tenant), body, ip);
    const counted = await counts.take({ tenant, paymentId, customer, subjects });
    const before = counted.isRepeat && (await judgedBefore(tenant, paymentId));
    if (before) return before;
    const paid = await pastOf(tenant, customer, counted.paid);
    const now = { ...amount, device: subjects.device, token: subjects.token };
    const nowMs = systemClock();
    const facts: Facts = {
      signals: { amount: amount.amount, ...counted.signals, ...historySignals(paid, now) },
      currency: amount.currency,
      methodType: method.type,
      denied: settings.on('deny', tenant, subjects, nowMs),
      allowed: settings.on('allow', tenant, subjects, nowMs),
    };
    return judged(settings, tenant, facts, subjects);
  }

  return {
    defaults: defaultRules,
    async assess(tenant, paymentId, incoming) {
      const startMs = performance.now();
      const assessment = await judge(tenant, paymentId, incoming);
      decisions.active[assessment.decision].inc();
      if (assessment.shadow) decisions.shadow[assessment.shadow.decision].inc();
      seconds.observe((performance.now() - startMs) / 1_000);
      return assessment;
    },
    refresh: () => settings.refresh(),
    stop: () => settings.stop(),
  };
}

type Body = Incoming['body'];

function judged(
  settings: RiskSettings,
  tenant: number,
  facts: Facts,
  { ip, device, token }: Subjects,
): Assessment {
  const { version, rules } = settings.active(tenant);
  const shadow = settings.shadow(tenant);
  const { score, decision, reasons } = evaluate(rules, facts);
  return {
    score,
    decision,
    version,
    thresholds: rules.thresholds,
    signals: facts.signals,
    reasons,
    ...(shadow && { shadow: { ...evaluate(shadow.rules, facts), version: shadow.version } }),
    ...(ip !== null && { ip }),
    ...(device !== null && { device }),
    token,
  };
}

function subjectsOf(salt: string, { customer_id, device_id, method }: Body, ip: string): Subjects {
  return {
    user: hashOf(salt, 'user', customer_id),
    ip: ip === '' ? null : hashOf(salt, 'ip', ip),
    device: device_id === undefined ? null : hashOf(salt, 'device', device_id),
    token: hashOf(salt, 'token', method.token),
  };
}

function countersOf(metrics: Metrics) {
  const total = metrics.counter(
    'tallyrace_risk_decisions_total',
    'Payments judged, by rule set and decision.',
    ['rules', 'decision'],
  );
  const of = (rules: RuleSetName): Record<RiskDecision, Counter> => ({
    allow: total.labels(rules, 'allow'),
    review: total.labels(rules, 'review'),
    block: total.labels(rules, 'block'),
  });
  return { active: of('active'), shadow: of('shadow') };
}

/** A tenant's salt never changes, so it is asked for once. */
class Salts {
  private readonly byTenant = new Map<number, Promise<string>>();

  constructor(private readonly sql: Sql) {}

  of(tenant: number): Promise<string> {
    let salt = this.byTenant.get(tenant);
    if (!salt) {
      salt = saltOf(this.sql, tenant);
      this.byTenant.set(tenant, salt);
      salt.catch(() => this.byTenant.delete(tenant));
    }
    return salt;
  }
}
