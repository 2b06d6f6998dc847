// What Stripe's webhooks say. The intent, the refund, the dispute and the payout are the objects
// that are read; events of charges say the same again, without our labels in older ones.
// Invariant: refunds, disputes and payouts are read by the state that they show, whatever the event
// is called; several events tell of one state, and say the same.
import { Type } from '@sinclair/typebox';
import { declineReasonOf } from '../schemas/payments-declines.ts';
import { type StripeType, WebhookType } from '../schemas/webhooks.ts';
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

/** A reference to an object, which may have been put in its place. */
const Link = Type.Union([Reference, open({ id: Reference }), Type.Null()]);
const shared = { id: Reference, currency: CurrencyOfTheirs };

const readIntent = reader(
  open({
    ...shared,
    metadata: Labels,
    amount_received: Type.Optional(Amount),
    amount_capturable: Type.Optional(Amount),
    last_payment_error: Type.Optional(
      Type.Union([
        open({ code: Type.Optional(Type.String()), decline_code: Type.Optional(Type.String()) }),
        Type.Null(),
      ]),
    ),
  }),
);
const readRefund = reader(
  open({
    ...shared,
    metadata: Labels,
    status: Type.Union([Type.String(), Type.Null()]),
    amount: Amount,
    payment_intent: Type.Optional(Link),
    balance_transaction: Type.Optional(Type.Unknown()),
  }),
);
const readDispute = reader(
  open({
    ...shared,
    status: Type.String(),
    amount: Amount,
    reason: Type.Optional(Type.Unknown()),
    payment_intent: Type.Optional(Link),
    evidence_details: Type.Optional(
      open({ due_by: Type.Optional(Type.Union([Seconds, Type.Null()])) }),
    ),
    balance_transactions: Type.Optional(
      Type.Array(open({ fee: Type.Integer(), currency: CurrencyOfTheirs })),
    ),
  }),
);
const readPayout = reader(
  open({ ...shared, amount: Type.Integer(), arrival_date: Seconds, status: Type.String() }),
);

type IntentNews = 'authorized' | 'captured' | 'failed' | 'cancelled';

function intent(kind: IntentNews): (object: unknown) => Said {
  return (object) => {
    const read = readIntent(object);
    const { id: reference, currency, last_payment_error: error } = read;
    const about = aboutOf(read.metadata);
    if (!about) return unrelated;
    const amounts = {
      authorized: read.amount_capturable,
      captured: read.amount_received,
      failed: 0,
      cancelled: 0,
    };
    const amount = amounts[kind];
    if (amount === undefined) throw new Error('not as the gateway documents it: no amount');
    // All of it was captured or let go meanwhile.
    if (kind === 'authorized' && amount === 0) return nothing;
    const word = error?.decline_code ?? error?.code;
    const why = kind === 'failed' ? { decline_reason: declineReasonOf('stripe', word) } : {};
    return news(about, { news: kind, reference, amount, currency, ...why });
  };
}

function refund(object: unknown): Said {
  const read = readRefund(object);
  const { id, status, amount, currency, metadata } = read;
  const about = aboutOf(metadata);
  const reference = idOf(read.payment_intent);
  if (reference === null) return unrelated;
  const kind = refundNews(status);
  if (!kind) return nothing;
  // What was never captured is let go, not refunded: no money has moved.
  if (!about && read.balance_transaction === null) return nothing;
  const subject = subjectOf(metadata, id);
  return news(about, { news: kind, reference, amount, currency, subject });
}

function refundNews(status: string | null) {
  if (status === 'succeeded') return 'refund_succeeded';
  return status === 'failed' || status === 'canceled' ? 'refund_failed' : null;
}

const disputeNews: Readonly<
  Record<string, 'dispute_opened' | 'dispute_won' | 'dispute_lost' | undefined>
> = {
  needs_response: 'dispute_opened',
  under_review: 'dispute_opened',
  won: 'dispute_won',
  lost: 'dispute_lost',
};

/** An inquiry (`warning_…`) withdraws nothing. */
function dispute(object: unknown): Said {
  const { id: subject, status, amount, currency, ...more } = readDispute(object);
  const reference = idOf(more.payment_intent);
  const kind = disputeNews[status];
  if (!kind) return nothing;
  if (reference === null) return unrelated;
  // A fee in another currency is not of the payment's books; the payout shows it. One that is given
  // back is a line below zero.
  const lines = (more.balance_transactions ?? []).filter((line) => line.currency === currency);
  const fee = lines.reduce((sum, line) => sum + line.fee, 0);
  const due = more.evidence_details?.due_by ?? null;
  return news(null, {
    ...{ news: kind, reference, amount, currency, subject },
    ...(lines.length > 0 && { fee: Math.max(0, fee) }),
    ...(due !== null && { due_by: timeOf(due) }),
    ...reasonOf(more.reason),
  });
}

function payout(object: unknown): Said {
  const { id, amount, currency, arrival_date: at, status } = readPayout(object);
  if (status !== 'paid') return nothing;
  // A negative one takes from the bank account what the gateway is owed.
  if (amount <= 0) throw new Error('a payout that pays nothing out is not posted');
  const money = { amount, currency: currency.toUpperCase() };
  return { says: 'payout', payout: { settlement_id: id, amount: money, paid_at: timeOf(at) } };
}

function idOf(link: string | { id: string } | null | undefined): string | null {
  return typeof link === 'object' && link !== null ? link.id : (link ?? null);
}

const silent = (): Said => nothing;

const table: Record<StripeType, (object: unknown) => Said> = {
  'payment_intent.succeeded': intent('captured'),
  'payment_intent.amount_capturable_updated': intent('authorized'),
  'payment_intent.payment_failed': intent('failed'),
  'payment_intent.canceled': intent('cancelled'),
  'payment_intent.created': silent,
  'payment_intent.processing': silent,
  'payment_intent.requires_action': silent,
  'charge.pending': silent,
  'charge.succeeded': silent,
  'charge.captured': silent,
  'charge.failed': silent,
  'charge.updated': silent,
  // Of a hold that was let go too; the refund itself tells what it is.
  'charge.refunded': silent,
  'charge.refund.updated': refund,
  'refund.created': refund,
  'refund.updated': refund,
  'refund.failed': refund,
  'charge.dispute.created': dispute,
  'charge.dispute.updated': dispute,
  'charge.dispute.funds_withdrawn': dispute,
  'charge.dispute.funds_reinstated': dispute,
  'charge.dispute.closed': dispute,
  'payout.created': silent,
  'payout.updated': payout,
  'payout.reconciliation_completed': silent,
  'payout.paid': payout,
};

const readEvent = reader(open({ type: WebhookType, data: open({ object: Type.Object({}) }) }));

export function saidByStripe(body: unknown): { type: string; said: Said } {
  const { type, data } = readEvent(body);
  if (!Object.hasOwn(table, type)) return { type, said: { says: 'unknown' } };
  return { type, said: table[type as StripeType](data.object) };
}
