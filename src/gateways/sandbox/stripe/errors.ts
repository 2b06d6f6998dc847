// Stripe's error objects and the status codes they come with.
import type { RefusalReason } from '../bank.ts';
import type { Charge, Intent } from '../objects.ts';
import { declines } from '../tokens.ts';
import type { WireAnswer } from '../wire.ts';

type Fields = Record<string, unknown>;

/** Thrown by handlers; the wire answers it. */
export class StripeRefusal extends Error {
  constructor(readonly answer: WireAnswer) {
    super('refused');
  }
}

export function stripeError(
  status: number,
  type: string,
  message: string,
  more: Fields = {},
): WireAnswer {
  const { code } = more;
  const doc_url = code === undefined ? {} : { doc_url: docUrl(String(code)) };
  return { status, body: { error: { type, message, ...doc_url, ...more } } };
}

const docUrl = (code: string): string =>
  `https://stripe.com/docs/error-codes/${code.replaceAll('_', '-')}`;

export function invalid(message: string, more: Fields = {}, status = 400): StripeRefusal {
  return new StripeRefusal(stripeError(status, 'invalid_request_error', message, more));
}

export function missing(name: string): StripeRefusal {
  return invalid(`Missing required param: ${name}.`, { code: 'parameter_missing', param: name });
}

export function unknownObject(what: string, id: string, param = 'id'): StripeRefusal {
  const more = { code: 'resource_missing', param };
  return invalid(`No such ${what}: '${id}'`, more, 404);
}

export function declineOf(charge: Charge): { code: string; declineCode: string | null } & {
  message: string;
} {
  return declines[charge.decline ?? 'generic_decline']!.stripe;
}

/** Of a charge that was declined: in the intent, and in the answer that is a 402. */
export function cardError(charge: Charge): Fields {
  const { code, declineCode, message } = declineOf(charge);
  return {
    charge: charge.id,
    code,
    ...(declineCode ? { decline_code: declineCode } : {}),
    doc_url: docUrl(code),
    message,
    payment_method: { id: charge.token, object: 'payment_method', type: charge.method },
    type: 'card_error',
  };
}

export function cardRefusal(charge: Charge, renderedIntent: unknown): StripeRefusal {
  const error = { ...cardError(charge), payment_intent: renderedIntent };
  return new StripeRefusal({ status: 402, body: { error }, outcome: true });
}

/** What the bank refused, said as Stripe says it. */
export function refusedAs(
  reason: RefusalReason,
  what: string,
  intent: Intent | null,
  rendered: unknown,
): WireAnswer {
  const say = (message: string, code: string): WireAnswer => ({
    ...stripeError(400, 'invalid_request_error', message, {
      code,
      ...(rendered ? { payment_intent: rendered } : {}),
    }),
    outcome: true,
  });
  switch (reason) {
    case 'unknown_token':
      return say(`No such PaymentMethod: ${what}`, 'resource_missing');
    case 'wrong_status':
    case 'already_captured':
    case 'already_decided':
      return say(
        `This PaymentIntent could not be ${what} because it has a status of ${intent?.status}.`,
        'payment_intent_unexpected_state',
      );
    case 'too_much':
      return what === 'captured'
        ? say(
            'The amount could not be captured because it is greater than the amount you can capture.',
            'amount_too_large',
          )
        : say('Refund amount is greater than unrefunded amount on charge.', 'amount_too_large');
    case 'already_refunded':
      return say('The charge has already been refunded.', 'charge_already_refunded');
    case 'not_captured':
      return say(
        'This PaymentIntent does not have a successful charge to refund.',
        'charge_not_refundable',
      );
    case 'disputed':
      return say('The charge has been charged back; cannot issue a refund.', 'charge_disputed');
  }
}
