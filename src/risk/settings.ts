// Rule sets and lists of every tenant, followed in memory, so that a payment asks nobody for them.
// Invariant: a change holds within a second in every process; a tenant without rules of its own has
// the default ones, which are version 0.
import {
  LISTS_KIND,
  RULES_KIND,
  type RiskList,
  type RiskRules,
  type RiskSubject,
  type RuleSetName,
  riskSubjects,
} from '../../schemas/risk.ts';
import type { Sql } from '../io/postgres.ts';
import { followDocuments } from '../store/documents.ts';
import { type ListBody, isInForce } from '../store/risk-lists.ts';
import type { Subjects } from './counts.ts';
import { defaultRules } from './default-rules.ts';

export interface RuleSet {
  version: number;
  rules: RiskRules;
}

const byDefault: RuleSet = { version: 0, rules: defaultRules };

export class RiskSettings {
  private readonly ruleSets = new Map<string, RuleSet>();
  private readonly entries = new Map<string, ListBody>();
  private readonly followers;
  /** At so many entries those that have expired are looked for: seldom, and before they are most. */
  private forgetAt = 1_000;

  constructor(sql: Sql, onError: (error: unknown) => void) {
    this.followers = [
      followDocuments(sql, RULES_KIND, {
        onError,
        onChanges: (changes) => {
          for (const { tenant, key, version, body } of changes) {
            const rules = rulesOf(body);
            if (rules) this.ruleSets.set(`${tenant} ${key}`, { version, rules });
            else this.ruleSets.delete(`${tenant} ${key}`);
          }
        },
      }),
      followDocuments(sql, LISTS_KIND, {
        onError,
        onChanges: (changes) => {
          for (const { tenant, key, body } of changes) {
            const entry = body as ListBody;
            if (entry.removed) this.entries.delete(`${tenant} ${key}`);
            else this.entries.set(`${tenant} ${key}`, entry);
          }
          this.forgetExpired(Date.now());
        },
      }),
    ];
  }

  async ready(): Promise<void> {
    await Promise.all(this.followers.map((follower) => follower.ready));
  }

  /** Resolves when every change that was committed before the call is known. */
  async refresh(): Promise<void> {
    await Promise.all(this.followers.map((follower) => follower.refresh()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.followers.map((follower) => follower.stop()));
  }

  active(tenant: number): RuleSet {
    return this.ruleSets.get(`${tenant} active`) ?? byDefault;
  }

  shadow(tenant: number): RuleSet | null {
    return this.ruleSets.get(`${tenant} ${'shadow' satisfies RuleSetName}`) ?? null;
  }

  private forgetExpired(nowMs: number): void {
    if (this.entries.size < this.forgetAt) return;
    for (const [key, entry] of this.entries) if (!isInForce(entry, nowMs)) this.entries.delete(key);
    this.forgetAt = Math.max(1_000, 2 * this.entries.size);
  }

  /** By what the payment is on the list. */
  on(list: RiskList, tenant: number, subjects: Subjects, nowMs: number): RiskSubject[] {
    if (this.entries.size === 0) return [];
    return riskSubjects.filter((subject) => {
      const entry = this.entries.get(`${tenant} ${list}.${subject}.${subjects[subject] ?? ''}`);
      return entry !== undefined && isInForce(entry, nowMs);
    });
  }
}

/** Null for a set that was taken away. */
function rulesOf(body: unknown): RiskRules | null {
  return 'rules' in (body as object) ? (body as RiskRules) : null;
}
