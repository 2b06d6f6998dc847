// Risk: what is known of a payment when it is initiated (signals), the rules that turn it into a
// score, and what was decided. Rules are data of the tenant; every decision carries its reasons.
import { type Static, Type } from '@sinclair/typebox';
import { words } from './coupons.ts';
import { MethodType, Note } from './payments.ts';
import { Currency, Time, closed, nullable } from './primitives.ts';

/** Who or what a payment is counted by. */
export const riskSubjects = ['user', 'ip', 'device', 'token'] as const;
export type RiskSubject = (typeof riskSubjects)[number];
export const RiskSubject = words(...riskSubjects);

/** Counts go no further than this: a thousand within a day says it all. */
export const COUNT_MAX = 1_000;

const count = (description: string) =>
  Type.Optional(Type.Number({ minimum: 0, description: `${description} This one included.` }));
const figure = (description: string) => Type.Optional(Type.Number({ description }));

function counts<const S extends RiskSubject>(subject: S, whose: string) {
  return {
    [`${subject}_1m`]: count(`Payments initiated ${whose} within a minute.`),
    [`${subject}_1h`]: count(`Payments initiated ${whose} within an hour.`),
    [`${subject}_24h`]: count(`Payments initiated ${whose} within 24 hours.`),
  } as Record<`${S}_${'1m' | '1h' | '24h'}`, ReturnType<typeof count>>;
}

/** By name, in the order in which they are stored: later ones go to the end. */
const signals = {
  amount: figure('Minor units.'),
  ...counts('user', 'by the customer'),
  ...counts('ip', 'from the address'),
  ...counts('device', 'from the device'),
  ...counts('token', 'with the token of the method'),
  user_tokens_24h: count('Different tokens that the customer has used within 24 hours.'),
  token_users_24h: count('Different customers that have used the token within 24 hours.'),
  device_users_24h: count('Different customers seen on the device within 24 hours.'),
  history_known: figure('1, or 0 where the past of the customer could not be read.'),
  paid_count: figure('Payments that the customer has paid; no more than 50 are looked at.'),
  amount_to_mean: figure('The amount over the mean of what the customer has paid.'),
  amount_deviations: figure('How many standard deviations the amount is from that mean.'),
  device_new: figure('1 where the customer has paid, but never from this device; else 0.'),
  token_new: figure('1 where the customer has paid, but never with this token; else 0.'),
} as const;
export type SignalName = keyof typeof signals;
export const signalNames = Object.keys(signals) as SignalName[];
export const countNames = signalNames.filter((name) => /_(1m|1h|24h)$/.test(name));

export const Signals = closed(signals, {
  description: 'What is not known, or does not apply, is left out.',
});
export type Signals = Partial<Record<SignalName, number>>;

const Score = Type.Integer({ minimum: 0, maximum: 1_000 });
export const RiskDecision = words('allow', 'review', 'block');
export type RiskDecision = Static<typeof RiskDecision>;

/** A name in braces is a signal's value; other braces are refused, so that a typo is seen. */
const ReasonText = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern:
    '^(?:[^{}\\u0000\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff]|' +
    `\\{(?:${signalNames.join('|')})\\})*$`,
  description: 'In words; `{user_1h}` stands for the value of that signal.',
});

export const RiskCondition = closed(
  {
    signal: words(...signalNames),
    at_least: Type.Optional(Type.Number()),
    at_most: Type.Optional(Type.Number()),
  },
  {
    description:
      'Does not hold where the signal is not known. Without a bound, holds where it is known.',
  },
);

export const RiskRule = closed({
  name: Type.String({ pattern: '^[a-z0-9_]{1,64}$' }),
  when: Type.Array(RiskCondition, {
    minItems: 1,
    maxItems: 8,
    description: 'All of them must hold.',
  }),
  currencies: Type.Optional(Type.Array(Currency, { minItems: 1, maxItems: 50 })),
  method_types: Type.Optional(Type.Array(MethodType, { minItems: 1, maxItems: 4 })),
  points: Type.Integer({ minimum: -1_000, maximum: 1_000 }),
  reason: ReasonText,
});
export type RiskRule = Static<typeof RiskRule>;

const Thresholds = closed({
  review: Type.Integer({ minimum: 1, maximum: 1_000 }),
  block: Type.Integer({ minimum: 1, maximum: 1_000 }),
});

export const RiskRules = closed({
  about: Type.Optional(Note),
  thresholds: Thresholds,
  rules: Type.Array(RiskRule, { maxItems: 100 }),
});
export type RiskRules = Static<typeof RiskRules>;

/** Documents of this kind: `active`, and `shadow`, which is evaluated and not applied. */
export const RULES_KIND = 'risk_rules';
export const ruleSetNames = ['active', 'shadow'] as const;
export type RuleSetName = (typeof ruleSetNames)[number];

export const RiskReason = closed({
  rule: Type.String({ maxLength: 64 }),
  points: Type.Integer({ minimum: -1_000, maximum: 1_000 }),
  text: Type.String({ maxLength: 1_000 }),
});
export type RiskReason = Static<typeof RiskReason>;

/** More would say no more. */
export const REASONS_MAX = 20;
const Reasons = Type.Array(RiskReason, { maxItems: REASONS_MAX });
const Version = Type.Integer({
  minimum: 0,
  description: 'Of the rule set; 0 is the default set.',
});

const verdict = { score: Score, decision: RiskDecision };
export const ShadowVerdict = closed({ ...verdict, version: Version, reasons: Reasons });

const Hash = Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' }));

/** As the event carries it. All but the first two are there since rules are. */
export const Assessment = closed({
  ...verdict,
  version: Type.Optional(Version),
  thresholds: Type.Optional(Thresholds),
  signals: Type.Optional(Signals),
  reasons: Type.Optional(Reasons),
  shadow: Type.Optional(ShadowVerdict),
  ip: Hash,
  device: Hash,
  token: Hash,
});
export type Assessment = Static<typeof Assessment>;

/** What GET /v1/payments/{id}/risk says. */
export const RiskExplanation = closed({
  payment_id: Type.String(),
  ...verdict,
  summary: Type.String({ description: 'The decision in a sentence.' }),
  version: Version,
  thresholds: Thresholds,
  reasons: Reasons,
  signals: Signals,
  shadow: nullable(ShadowVerdict),
  reviews: Type.Array(
    closed({
      verdict: words('approved', 'rejected'),
      actor: Type.String(),
      reason: nullable(Type.String()),
      at: Time,
    }),
    { description: 'What people decided, first to last.' },
  ),
  decided_at: Time,
});
export type RiskExplanation = Static<typeof RiskExplanation>;

export const LISTS_KIND = 'risk_lists';
export const riskLists = ['deny', 'allow'] as const;
export type RiskList = (typeof riskLists)[number];

export const ListEntryRequest = closed({
  list: words(...riskLists),
  subject: RiskSubject,
  value: Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'A customer id, an IP address, a device id, or a token of a gateway.',
  }),
  reason: Note,
  expires_at: Type.Optional(Time),
});
export type ListEntryRequest = Static<typeof ListEntryRequest>;

export const ListEntryId = Type.String({
  pattern: '^(?:deny|allow)\\.(?:user|ip|device|token)\\.[A-Za-z0-9_-]{22}$',
  examples: ['deny.ip.0aB1cD2eF3gH4iJ5kL6mN7'],
});

export const ListEntry = closed({
  id: ListEntryId,
  list: words(...riskLists),
  subject: RiskSubject,
  value: Type.String({ description: 'Addresses and tokens in part only: they are kept hashed.' }),
  reason: Type.String(),
  expires_at: nullable(Time),
  added_at: Time,
});
export type ListEntry = Static<typeof ListEntry>;
