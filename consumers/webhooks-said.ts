// What a webhook says, in our words, and how the gateways' objects are read: only what is needed of
// them is looked at, and what is needed must be there.
// Invariant: a shape that is not as the gateway documents it throws, so that the webhook becomes a
// dead letter with its body, and can be tried again by a release that knows better.
import { type Static, type TProperties, type TSchema, Type } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler';
import type { PaymentReported, SettlementPaid } from '../schemas/payments-events.ts';
import { PaymentId } from '../schemas/payments.ts';
import { AMOUNT_MAX } from '../schemas/primitives.ts';

type Reported = Static<(typeof PaymentReported)['data']>;

/** Which try of which payment of ours. */
export type About = Pick<Reported, 'payment_id' | 'attempt'>;
export type News = Omit<Reported, 'payment_id' | 'attempt' | 'gateway'> & {
  currency: string;
  /** Null: the object does not say; its reference may. */
  about: About | null;
};

export type Said =
  | { says: 'news'; news: News }
  | { says: 'payout'; payout: Omit<Static<(typeof SettlementPaid)['data']>, 'gateway'> }
  | { says: 'nothing' | 'unrelated' | 'unknown' };

export const nothing: Said = { says: 'nothing' };
export const unrelated: Said = { says: 'unrelated' };

export function news(about: About | null, what: Omit<News, 'about'>): Said {
  return { says: 'news', news: { ...what, about } };
}

export const Reference = Type.String({ pattern: '^[A-Za-z0-9_]{1,100}$' });
export const Amount = Type.Integer({ minimum: 0, maximum: AMOUNT_MAX });
export const CurrencyOfTheirs = Type.String({ pattern: '^[A-Za-z]{3}$' });
export const Seconds = Type.Integer({ minimum: 0, maximum: 253_402_300_799 });
/** `metadata` of Stripe; `notes` of Razorpay, which are `[]` when there are none. */
export const Labels = Type.Optional(Type.Unknown());

/** Objects of theirs have far more properties than we look at. */
export function open<P extends TProperties>(properties: P) {
  return Type.Object(properties);
}

export function reader<S extends TSchema>(schema: S): (value: unknown) => Static<S> {
  let check: TypeCheck<S> | null = null;
  return (value) => {
    check ??= TypeCompiler.Compile(schema);
    if (check.Check(value)) return value;
    const wrong = check.Errors(value).First();
    throw new Error(`not as the gateway documents it: ${wrong?.path ?? ''} ${wrong?.message}`);
  };
}

/** Of a dispute, in the gateway's word; anything else is not worth a dead letter. */
export function reasonOf(word: unknown): { dispute_reason?: string } {
  const isWord = typeof word === 'string' && /^[\x21-\x7e]{1,100}$/.test(word);
  return isWord ? { dispute_reason: word } : {};
}

const paymentId = new RegExp(PaymentId.pattern!);
const attempts = /^[1-9]\d?$|^100$/;

/** Every object that we make carries these; null where somebody else made it. */
export function aboutOf(labels: unknown): About | null {
  const { payment_id: id, attempt } = objectOf(labels);
  if (typeof id !== 'string' || !paymentId.test(id)) return null;
  if (typeof attempt !== 'string' || !attempts.test(attempt)) return null;
  return { payment_id: id, attempt: Number(attempt) };
}

const refundId = /^rfd_[0-9a-f-]{36}$/;

/** Of a refund: ours where we asked for it. */
export function subjectOf(labels: unknown, id: string): string {
  const { refund_id: ours } = objectOf(labels);
  return typeof ours === 'string' && refundId.test(ours) ? ours : `gateway:${id}`;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

export function timeOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
