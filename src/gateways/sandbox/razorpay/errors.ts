// Razorpay's error object, and the words it has for what the bank refuses.
import type { RefusalReason } from '../bank.ts';
import type { Charge } from '../objects.ts';
import { declines } from '../tokens.ts';
import type { WireAnswer } from '../wire.ts';

/** Thrown by handlers; the wire answers it. */
export class RazorpayRefusal extends Error {
  constructor(readonly answer: WireAnswer) {
    super('refused');
  }
}

export function razorpayError(
  status: number,
  description: string,
  more: Record<string, unknown> = {},
): WireAnswer {
  const code = status >= 500 ? 'SERVER_ERROR' : 'BAD_REQUEST_ERROR';
  const unsaid = { source: 'NA', step: 'NA', reason: 'NA', metadata: {} };
  return { status, body: { error: { code, description, ...unsaid, ...more } } };
}

export function wrong(description: string, field: string | null = null): RazorpayRefusal {
  const more = {
    source: 'business',
    step: 'payment_initiation',
    reason: 'input_validation_failed',
  };
  return new RazorpayRefusal(
    razorpayError(400, description, { ...more, ...(field ? { field } : {}) }),
  );
}

export function unknownId(): RazorpayRefusal {
  return wrong('The id provided does not exist');
}

/** A payment that was declined: it exists, and the answer names it. */
export function declinedPayment(charge: Charge): RazorpayRefusal {
  const { description, source, step, reason } = declines[charge.decline!]!.razorpay;
  const metadata = { payment_id: charge.id, order_id: charge.intent };
  const answer = razorpayError(400, description, { source, step, reason, metadata });
  return new RazorpayRefusal({ ...answer, outcome: true });
}

const said: Record<RefusalReason, string> = {
  wrong_status: 'Only payments which have been authorized and not yet captured can be captured',
  already_captured: 'This payment has already been captured',
  too_much: 'The total refund amount is greater than the refund payment amount',
  already_refunded: 'The payment has been fully refunded already',
  not_captured: 'The payment status should be captured for action to be taken',
  disputed: 'Refund is not allowed since the payment is disputed',
  unknown_token: 'The token provided is invalid',
  already_decided: 'Action not allowed: the dispute is not open',
};

export function refusedAs(reason: RefusalReason): RazorpayRefusal {
  return wrong(said[reason]);
}
