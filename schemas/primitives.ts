// The words every schema is made of: ids, money, time. TypeBox only; the JSON Schema that these
// print is what /openapi.json publishes, so titles and examples here are read by users.
import { type Static, type TSchema, type TObject, type TProperties, Type } from '@sinclair/typebox';

/** Largest |amount| in minor units that JSON numbers carry exactly: 2^53 - 1. */
export const AMOUNT_MAX = Number.MAX_SAFE_INTEGER;

/** An object that refuses properties it does not name. */
export function closed<P extends TProperties>(
  properties: P,
  options: Parameters<typeof Type.Object>[1] = {},
): TObject<P> {
  return Type.Object(properties, { additionalProperties: false, ...options });
}

export function nullable<S extends TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()]);
}

/** A client's own id: 1 to 128 visible ASCII characters. */
export const ClientId = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[\\x21-\\x7e]+$',
  description: "A client's own id: 1 to 128 visible ASCII characters.",
});

/** A part of an account name; a colon would make two accounts one, so it is not allowed. */
export const AccountPart = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '^[\\x21-\\x39\\x3b-\\x7e]+$',
  description: 'A name used inside an account name: visible ASCII without a colon.',
});

export const Currency = Type.String({
  pattern: '^[A-Z]{3}$',
  description: 'ISO 4217 code.',
  examples: ['USD'],
});

/** Money of either sign, in integer minor units of the currency's ISO 4217 exponent. */
export const Money = closed(
  {
    amount: Type.Integer({ minimum: -AMOUNT_MAX, maximum: AMOUNT_MAX }),
    currency: Currency,
  },
  {
    description: 'Integer minor units and an ISO 4217 currency.',
    examples: [{ amount: 1250, currency: 'USD' }],
  },
);
export type Money = Static<typeof Money>;

/** Money that is not negative. */
export const PositiveMoney = closed(
  { amount: Type.Integer({ minimum: 0, maximum: AMOUNT_MAX }), currency: Currency },
  { description: 'Money that is not negative.', examples: [{ amount: 1250, currency: 'USD' }] },
);

export const BasisPoints = Type.Integer({
  minimum: 0,
  maximum: 10_000,
  description: 'Hundredths of a percent: 1000 is 10 %.',
});

const DAY =
  '(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|' +
  '02-(?:0[1-9]|1\\d|2[0-8])';
/** From 1 on: Postgres has no year 0. */
const YEAR = '\\d{3}[1-9]|\\d\\d[1-9]\\d|\\d[1-9]\\d\\d|[1-9]\\d{3}';
const LEAP_YEAR = '\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00';

/**
 * RFC 3339 in UTC, days that the calendar has only. The pattern is ours, since named formats are
 * global and can be overwritten.
 */
export const Time = Type.String({
  pattern:
    `^(?:(?:${YEAR})-(?:${DAY})|(?:${LEAP_YEAR})-02-29)` +
    'T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?Z$',
  description: 'RFC 3339 time in UTC.',
  examples: ['2026-01-31T12:00:00Z'],
});

/** Text that Postgres can keep: JSON may say NUL and half a surrogate pair, jsonb may not. */
export const TEXT_PATTERN = '^(?:[^\\u0000\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff])*$';

export const Metadata = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
  Type.Union([
    Type.String({ maxLength: 500, pattern: TEXT_PATTERN }),
    Type.Number(),
    Type.Boolean(),
  ]),
  { maxProperties: 50, additionalProperties: false, description: 'Up to 50 of your own labels.' },
);

/** Where an accepted event stands in its stream: `<topic>.<partition>.<offset>`. */
export const Position = Type.String({
  pattern: '^[a-z]{1,20}\\.\\d{1,3}\\.\\d{1,16}$',
  description: 'Where an accepted event stands in its stream; pass it back as `at_least`.',
  examples: ['events.3.1841'],
});
/** Of reads: they wait for the ledger to come so far. */
export const AtLeast = Type.Optional(Position);
