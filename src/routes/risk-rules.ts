// Rules of risk as a tenant sets them: the active set, and a shadow set, which is evaluated and
// recorded but not applied.
// Invariant: what is kept can be evaluated: thresholds in order, every rule able to hold.
import { type Static, Type } from '@sinclair/typebox';
import { closed, nullable, Time } from '../../schemas/primitives.ts';
import {
  COUNT_MAX,
  RULES_KIND,
  RiskRules,
  type RuleSetName,
  countNames,
  ruleSetNames,
} from '../../schemas/risk.ts';
import { words } from '../../schemas/coupons.ts';
import { refuseCardNumbers } from '../http/card-numbers.ts';
import { type ProblemError, problem } from '../http/problem.ts';
import { type Context, type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { getDocument, putDocument } from '../store/documents.ts';

export interface RiskRuleParts {
  sql: Sql;
  risk: { defaults: RiskRules };
}

const RuleSet = closed({
  name: words(...ruleSetNames),
  version: Type.Integer({ minimum: 0, description: '0: the default rules.' }),
  changed_at: nullable(Time),
  rules: RiskRules,
});

/** A set that was taken away stays as a version. */
interface NoRules {
  removed: true;
}

const shared = { tag: 'risk', limit: 'requests' } as const;
const readers = ['finance:approve', 'admin'] as const;
const example: Static<typeof RiskRules> = {
  about: 'Held back less.',
  thresholds: { review: 600, block: 900 },
  rules: [
    {
      name: 'many_in_an_hour',
      when: [{ signal: 'user_1h', at_least: 20 }],
      points: 600,
      reason: '{user_1h} payments of the customer within an hour.',
    },
  ],
};

export function riskRuleRoutes(parts: RiskRuleParts): Route[] {
  return [
    putRules(parts, 'active'),
    getRules(parts, 'active'),
    putRules(parts, 'shadow'),
    getRules(parts, 'shadow'),
    deleteShadow(parts),
  ];
}

const about = {
  active: { suffix: '', path: '/v1/risk/rules', words: 'by which payments are judged' },
  shadow: {
    suffix: 'Shadow',
    path: '/v1/risk/rules/shadow',
    words: 'that are tried on every payment and not applied',
  },
} as const;

function putRules({ sql }: RiskRuleParts, name: RuleSetName): Route {
  const { suffix, path, words: which } = about[name];
  return defineRoute({
    ...shared,
    name: `put${suffix}RiskRules`,
    method: 'PUT',
    path,
    scope: 'admin',
    summary: `Set the rules ${which}`,
    description:
      'The points of the rules that hold are added up; from `review` on a payment waits for a ' +
      'person, from `block` on it fails. A change holds for payments within a second, is a ' +
      'version of its own, and every decision names the version it was made by.',
    body: RiskRules,
    answers: { 200: { description: 'As they hold from now on.', schema: RuleSet } },
    examples: [{ name: 'one rule', status: 200, body: example }],
    async handler({ tenant, key, body }: Context<RiskRules>) {
      refuseCardNumbers(body);
      const errors = faultsOf(body);
      if (errors.length > 0)
        return problem(422, 'invalid_request', 'See `errors` for what is wrong, and where.', {
          errors,
        });
      const actor = `key:${key.id}`;
      const { version, updated_at } = await putDocument(sql, tenant, RULES_KIND, name, body, actor);
      return json(200, { name, version, changed_at: updated_at.toISOString(), rules: body });
    },
  });
}

function getRules({ sql, risk }: RiskRuleParts, name: RuleSetName): Route {
  const { suffix, path, words: which } = about[name];
  return defineRoute({
    ...shared,
    name: `get${suffix}RiskRules`,
    method: 'GET',
    path,
    scope: readers,
    summary: `The rules ${which}`,
    answers: { 200: { description: 'The rules.', schema: RuleSet } },
    ...(name === 'shadow' && { problems: [404] }),
    examples: [{ name: 'as set', status: 200 }],
    async handler({ tenant }) {
      const found = await getDocument<RiskRules | NoRules>(sql, tenant, RULES_KIND, name);
      if (found && 'rules' in found.body) {
        const { version, updated_at, body } = found;
        return json(200, { name, version, changed_at: updated_at.toISOString(), rules: body });
      }
      return name === 'active'
        ? json(200, { name, version: 0, changed_at: null, rules: risk.defaults })
        : noShadow();
    },
  });
}

function deleteShadow({ sql }: RiskRuleParts): Route {
  return defineRoute({
    ...shared,
    name: 'deleteShadowRiskRules',
    method: 'DELETE',
    path: about.shadow.path,
    scope: 'admin',
    summary: 'Try the shadow rules no longer',
    answers: {
      200: { description: 'Taken away.', schema: closed({ name: Type.Literal('shadow') }) },
    },
    problems: [404],
    examples: [
      { name: 'set', status: 200 },
      { name: 'gone', status: 404 },
    ],
    async handler({ tenant, key }) {
      const found = await getDocument<RiskRules | NoRules>(sql, tenant, RULES_KIND, 'shadow');
      if (!found || !('rules' in found.body)) return noShadow();
      const none: NoRules = { removed: true };
      await putDocument(sql, tenant, RULES_KIND, 'shadow', none, `key:${key.id}`);
      return json(200, { name: 'shadow' });
    },
  });
}

function noShadow() {
  return problem(404, 'not_found', 'There are no shadow rules.');
}

/** What the shape alone does not say. */
export function faultsOf({ thresholds, rules }: RiskRules): ProblemError[] {
  const errors: ProblemError[] = [];
  if (thresholds.block < thresholds.review)
    errors.push({ pointer: '/thresholds/block', detail: 'Must not be below `review`.' });
  const names = new Set<string>();
  for (const [index, { name, when }] of rules.entries()) {
    const pointer = `/rules/${index}`;
    if (names.has(name)) errors.push({ pointer: `${pointer}/name`, detail: 'Is used twice.' });
    names.add(name);
    for (const [place, { signal, at_least: least = -Infinity, at_most: most }] of when.entries()) {
      const at = `${pointer}/when/${place}`;
      if (most !== undefined && most < least)
        errors.push({ pointer: `${at}/at_most`, detail: 'Is below `at_least`: it never holds.' });
      if (countNames.some((count) => count === signal) && least > COUNT_MAX)
        errors.push({ pointer: `${at}/at_least`, detail: `Counts end at ${COUNT_MAX}.` });
    }
  }
  return errors.slice(0, 20);
}
