// What people may ask of a payment: capture, cancel, refund, and the verdict of a review. Each is
// an event that the payment's rule decides; the answer waits for it.
// Invariant: a command is refused by the rule, which alone knows the payment as it is.
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import type { EventDefinition } from '../../schemas/events.ts';
import {
  CancelRequested,
  CaptureRequested,
  PaymentReviewed,
  RefundRequested,
} from '../../schemas/payments-events.ts';
import {
  CaptureRequest,
  Note,
  Payment,
  PaymentId,
  RefundId,
  RefundRequest,
  RefundStatus,
} from '../../schemas/payments.ts';
import { Position, closed } from '../../schemas/primitives.ts';
import type { RedemptionBook } from '../cache/redemption-book.ts';
import { refuseCardNumbers } from '../http/card-numbers.ts';
import { type CommandParts, carryOutCommand, timeOfId } from '../http/command.ts';
import { type ProblemCode, catalogue, problem } from '../http/problem.ts';
import { type Context, type Outcome, type Route, defineRoute, json } from '../http/route.ts';
import { type PaymentRow, paymentOf } from '../store/payments.ts';
import { type PaymentBody, paymentAnswer } from './payment-answer.ts';
import { refuseUnheld } from './payment-redemption.ts';

/** How long a command waits for the ledger before it is answered 202. */
const WAIT_MS = 5_000;

const params = closed({ id: PaymentId });
const nobody = { id: 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05' };
const Pending = closed({ id: Type.String(), status: Type.Literal('pending'), position: Position });
const Refund = closed({
  id: RefundId,
  payment_id: PaymentId,
  status: RefundStatus,
  amount: Type.Integer(),
  position: Position,
});
const ReviewRequest = closed({ reason: Note });

type Money = { amount: number; currency: string };
type CommandContext<Body> = Context<Body, { id: string }>;
type Command = { definition: EventDefinition; id: string; data: object };

type PaymentCommandParts = CommandParts & { coupons: { book: RedemptionBook } };

export function paymentCommandRoutes(parts: PaymentCommandParts): Route[] {
  return [
    capture(parts),
    cancel(parts),
    refund(parts),
    review(parts, 'approve', 'approved'),
    review(parts, 'reject', 'rejected'),
  ];
}

function capture(parts: CommandParts): Route {
  return commandRoute({
    name: 'capturePayment',
    action: 'capture',
    summary: 'Capture an authorised payment, in whole or in part',
    body: CaptureRequest,
    answer: Payment,
    example: {},
    async handler(context) {
      const payment = await existing(parts, context);
      const amount = amountIn(context.body.amount, payment);
      return await carryOut(parts, context, {
        definition: CaptureRequested,
        id: `evt_${context.onceId}`,
        data: { payment_id: context.params.id, ...amount, ...askedBy(context) },
      });
    },
  });
}

function cancel(parts: CommandParts): Route {
  return commandRoute({
    name: 'cancelPayment',
    action: 'cancel',
    summary: 'Give an authorisation back, or stop what is under review',
    body: closed({}),
    answer: Payment,
    example: {},
    async handler(context) {
      await existing(parts, context);
      return await carryOut(parts, context, {
        definition: CancelRequested,
        id: `evt_${context.onceId}`,
        data: { payment_id: context.params.id, ...askedBy(context) },
      });
    },
  });
}

function refund(parts: CommandParts): Route {
  return commandRoute({
    name: 'refundPayment',
    action: 'refunds',
    summary: 'Refund in whole or in part, up to what was captured',
    body: RefundRequest,
    answer: Refund,
    example: {},
    async handler(context) {
      const payment = await existing(parts, context);
      const { amount, reason } = context.body;
      const id = `rfd_${context.onceId}`;
      const of = { payment_id: context.params.id, refund_id: id };
      const why = reason === undefined ? {} : { reason };
      const data = { ...of, ...amountIn(amount, payment), ...why, ...askedBy(context) };
      const command = { definition: RefundRequested, id, data };
      return await carryOut(parts, context, command, ({ body }, position) => ({
        id,
        payment_id: context.params.id,
        ...body.refunds[id],
        position,
      }));
    },
  });
}

function review(parts: PaymentCommandParts, action: string, verdict: string): Route {
  return commandRoute({
    name: `${action}Payment`,
    action,
    scope: 'finance:approve',
    summary: `Decide a review: ${verdict}`,
    body: ReviewRequest,
    answer: Payment,
    example: { reason: 'Known buyer.' },
    async handler(context) {
      const payment = await existing(parts, context);
      if (verdict === 'approved' && payment.status === 'requires_review')
        await refuseUnheld(parts.coupons.book, context.tenant, payment);
      const { id } = context.params;
      const { actor, requested_at: at } = askedBy(context);
      return await carryOut(parts, context, {
        definition: PaymentReviewed,
        id: `evt_${context.onceId}`,
        data: { payment_id: id, verdict, actor, reason: context.body.reason, reviewed_at: at },
      });
    },
  });
}

interface CommandRoute<Body extends TSchema> {
  name: string;
  action: string;
  summary: string;
  scope?: 'finance:approve';
  body: Body;
  answer: TSchema;
  example: Static<Body>;
  handler(context: CommandContext<Static<Body>>): Promise<Outcome>;
}

function commandRoute<Body extends TSchema>(command: CommandRoute<Body>): Route {
  const { name, action, summary, scope = 'payments:write', body, answer, example } = command;
  return defineRoute({
    name,
    method: 'POST',
    path: `/v1/payments/{id}/${action}`,
    tag: 'payments',
    summary,
    scope,
    limit: 'payments',
    accepts: true,
    idempotent: true,
    params,
    body,
    answers: {
      200: { description: 'Decided.', schema: answer },
      202: { description: 'Accepted; the ledger is behind.', schema: Pending },
    },
    problems: [404, 409],
    examples: [
      {
        name: 'unknown',
        status: 404,
        params: nobody,
        body: example,
        headers: { 'Idempotency-Key': `example-${action}` },
      },
    ],
    async handler(context: CommandContext<Static<Body>>) {
      refuseCardNumbers(context.body);
      return await command.handler(context);
    },
  });
}

async function existing(
  { sql }: CommandParts,
  { tenant, params: { id } }: CommandContext<unknown>,
): Promise<PaymentBody> {
  const found = await paymentOf<PaymentBody>(sql, tenant, id);
  if (!found) throw problem(404, 'not_found', 'No such payment, or it has not been settled yet.');
  return found.body;
}

async function carryOut(
  parts: CommandParts,
  { tenant, traceparent, params: { id: paymentId } }: CommandContext<unknown>,
  command: Command,
  answer: (payment: PaymentRow<PaymentBody>, position: string) => object = paymentAnswer,
): Promise<Outcome> {
  const { position, verdict, reason } = await carryOutCommand(
    parts,
    { ...command, tenant, traceparent },
    WAIT_MS,
  );
  if (verdict === 'pending') return json(202, { id: command.id, status: 'pending', position });
  if (verdict === 'refused') {
    const code = (reason && reason in catalogue ? reason : 'wrong_status') as ProblemCode;
    return problem(409, code, catalogue[code].about);
  }
  const payment = await paymentOf<PaymentBody>(parts.sql, tenant, paymentId);
  return json(200, answer(payment!, position));
}

function askedBy({ key, onceId }: Context) {
  return { actor: `key:${key.id}`, requested_at: timeOfId(onceId) };
}

/** Without one it is all that is left, which the rule knows. */
function amountIn(given: Money | undefined, { currency }: PaymentBody): { amount?: number } {
  if (given && given.currency !== currency)
    throw problem(409, 'currency_mismatch', 'The payment is in another currency.');
  return given ? { amount: given.amount } : {};
}
