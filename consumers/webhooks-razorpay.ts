// What Razorpay's webhooks say. Nearly all of them show the payment, which carries our labels.
// Invariant: an event is read by the state that its entity shows, whatever it is called; several
// events tell of one state, and say the same.
import { type TSchema, Type } from '@sinclair/typebox';
import { declineReasonOf } from '../schemas/payments-declines.ts';
import { type RazorpayType, WebhookType } from '../schemas/webhooks.ts';
import {
  Amount,
  CurrencyOfTheirs,
  Labels,
  Reference,
  type Said,
  Seconds,
  aboutOf,
  news,
  nothing,
  open,
  reader,
  reasonOf,
  subjectOf,
  timeOf,
  unrelated,
} from './webhooks-said.ts';

const entityOf = <S extends TSchema>(entity: S) => open({ entity });
const shared = { id: Reference, amount: Amount };

const Payment = open({
  ...shared,
  currency: CurrencyOfTheirs,
  status: Type.String(),
  captured: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  notes: Labels,
  fee: Type.Optional(Type.Union([Amount, Type.Null()])),
  error_reason: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});
const readPayment = reader(open({ payment: entityOf(Payment) }));
const readRefund = reader(
  open({
    refund: entityOf(
      open({
        ...shared,
        currency: CurrencyOfTheirs,
        payment_id: Reference,
        status: Type.String(),
        notes: Labels,
      }),
    ),
    payment: Type.Optional(entityOf(Payment)),
  }),
);
const readDispute = reader(
  open({
    dispute: entityOf(
      open({
        ...shared,
        currency: CurrencyOfTheirs,
        payment_id: Reference,
        status: Type.String(),
        amount_deducted: Type.Optional(Amount),
        reason_code: Type.Optional(Type.Unknown()),
        respond_by: Type.Optional(Type.Union([Seconds, Type.Null()])),
      }),
    ),
    payment: Type.Optional(entityOf(Payment)),
  }),
);
const readSettlement = reader(
  open({
    settlement: entityOf(
      open({
        ...shared,
        currency: Type.Optional(CurrencyOfTheirs),
        created_at: Seconds,
      }),
    ),
  }),
);

function payment(payload: unknown): Said {
  const { entity } = readPayment(payload).payment;
  const { id: reference, status, amount, currency, fee, error_reason: word } = entity;
  const about = aboutOf(entity.notes);
  if (!about) return unrelated;
  const its = { reference, currency };
  // Refunded meanwhile, and captured before that; or given back without having been captured.
  if (status === 'captured' || (status === 'refunded' && entity.captured === true))
    return news(about, { ...its, news: 'captured', amount, ...(fee && { fee }) });
  if (status === 'authorized') return news(about, { ...its, news: 'authorized', amount });
  if (status !== 'failed') return nothing;
  const why = declineReasonOf('razorpay', word);
  return news(about, { ...its, news: 'failed', amount: 0, decline_reason: why });
}

function refund(payload: unknown): Said {
  const read = readRefund(payload);
  const { id, payment_id: reference, status, amount, currency, notes } = read.refund.entity;
  const paid = read.payment?.entity;
  const about = aboutOf(notes) ?? aboutOf(paid?.notes);
  if (!about && paid) return unrelated;
  // Held and never captured, it was given back without having been ours.
  if (paid?.captured === false) return nothing;
  const kind = refundNews[status];
  if (!kind) return nothing;
  const subject = subjectOf(notes, id);
  return news(about, { news: kind, reference, amount, currency, subject });
}

const refundNews: Readonly<Record<string, 'refund_succeeded' | 'refund_failed' | undefined>> = {
  processed: 'refund_succeeded',
  failed: 'refund_failed',
};

const disputeNews: Readonly<
  Record<string, 'dispute_opened' | 'dispute_won' | 'dispute_lost' | undefined>
> = {
  open: 'dispute_opened',
  under_review: 'dispute_opened',
  won: 'dispute_won',
  lost: 'dispute_lost',
};

/** `closed` has no winner: it was opened by mistake, and the gateway says nothing of money. */
function dispute(payload: unknown): Said {
  const read = readDispute(payload);
  const { id: subject, payment_id: reference, status, currency, ...more } = read.dispute.entity;
  const paid = read.payment?.entity;
  const about = aboutOf(paid?.notes);
  if (!about && paid) return unrelated;
  const kind = disputeNews[status];
  if (!kind) return nothing;
  // While it is open Razorpay may have taken nothing yet; what is lost is taken.
  const taken = more.amount_deducted ?? more.amount;
  const amount = kind === 'dispute_lost' ? taken || more.amount : taken;
  const due = more.respond_by ?? null;
  return news(about, {
    ...{ news: kind, reference, amount, currency, subject },
    ...(due !== null && { due_by: timeOf(due) }),
    ...reasonOf(more.reason_code),
  });
}

function settlement(payload: unknown): Said {
  const { entity } = readSettlement(payload).settlement;
  const { id, amount, created_at: at, currency = 'INR' } = entity;
  if (amount <= 0) throw new Error('a settlement that pays nothing out is not posted');
  const money = { amount, currency: currency.toUpperCase() };
  return { says: 'payout', payout: { settlement_id: id, amount: money, paid_at: timeOf(at) } };
}

const table: Record<RazorpayType, (payload: unknown) => Said> = {
  'payment.authorized': payment,
  'payment.captured': payment,
  'payment.failed': payment,
  // The payment in it was told as captured.
  'order.paid': () => nothing,
  'refund.created': refund,
  'refund.processed': refund,
  'refund.failed': refund,
  'refund.speed_changed': refund,
  'payment.dispute.created': dispute,
  'payment.dispute.under_review': dispute,
  'payment.dispute.action_required': dispute,
  'payment.dispute.won': dispute,
  'payment.dispute.lost': dispute,
  'payment.dispute.closed': dispute,
  'settlement.processed': settlement,
};

const readEvent = reader(open({ event: WebhookType, payload: Type.Object({}) }));

export function saidByRazorpay(body: unknown): { type: string; said: Said } {
  const { event: type, payload } = readEvent(body);
  if (!Object.hasOwn(table, type)) return { type, said: { says: 'unknown' } };
  return { type, said: table[type as RazorpayType](payload) };
}
