// What comes after a capture: refunds and disputes. Both move money back and are lines of the
// statement as soon as they do.
// Invariant: refunds that have not failed and disputes that are not won never exceed what was
// captured.
import type { GatewayName } from '../../../schemas/payments.ts';
import { type Bank, Refusal } from './bank.ts';
import { type Charge, type Dispute, type Labels, type Refund, newId } from './objects.ts';
import { writeLine } from './statement.ts';
import { behaviourOf } from './tokens.ts';

const refundPrefix: Record<GatewayName, [string, number]> = {
  stripe: ['re_', 24],
  razorpay: ['rfnd_', 14],
};
const disputePrefix: Record<GatewayName, [string, number]> = {
  stripe: ['dp_', 24],
  razorpay: ['disp_', 14],
};
const free = { fee: 0, tax: 0 };
const ANSWER_WITHIN_MS = 7 * 86_400_000;

export interface NewRefund {
  /** All that is left, when it is not given. */
  amount: number | null;
  reason: string | null;
  receipt: string | null;
  metadata: Labels;
}

export class Refunds {
  constructor(private readonly bank: Bank) {
    bank.afterCapture = (charge, { dispute }) => {
      if (dispute) this.dispute(charge, charge.captured, dispute);
    };
  }

  refund(before: Charge, { amount, reason, receipt, metadata }: NewRefund): Refund {
    const { store, announce, settings, now } = this.bank.parts;
    if (before.status !== 'captured') throw new Refusal('not_captured');
    if (before.disputed) throw new Refusal('disputed');
    const left = before.captured - before.refunded;
    if (left === 0) throw new Refusal('already_refunded');
    const asked = amount ?? left;
    if (asked > left) throw new Refusal('too_much');
    const { gateway, currency } = before;
    const behaviour = behaviourOf(before.token)!;
    const id = newId(...refundPrefix[gateway]);
    const charge = { ...before, refunded: before.refunded + asked };
    const refund: Refund = {
      kind: 'refund',
      id,
      gateway,
      createdMs: now(),
      charge: charge.id,
      intent: charge.intent,
      amount: asked,
      currency,
      status: behaviour.refund === 'pending' ? 'pending' : 'succeeded',
      reason,
      receipt,
      metadata,
      line: writeLine(store, charge, 'refund', id, -asked, free, now()).id,
      failureLine: null,
    };
    store.put(charge);
    store.put(refund);
    announce(gateway, { what: 'refund_created', charge, refund });
    if (refund.status === 'succeeded')
      announce(gateway, { what: 'refund_succeeded', charge, refund });
    const dueMs = now() + settings(gateway).pending_ms;
    if (behaviour.refund === 'pending') store.later(dueMs, 'refund_succeeds', id);
    if (behaviour.refund === 'fails') store.later(dueMs, 'refund_fails', id);
    return refund;
  }

  /** A refund that waited went through; one that has ended already stays as it is. */
  succeed(before: Refund): Refund {
    if (before.status !== 'pending') return before;
    const { store, announce } = this.bank.parts;
    const refund: Refund = { ...before, status: 'succeeded' };
    store.put(refund);
    const charge = store.get('charge', refund.charge)!;
    announce(refund.gateway, { what: 'refund_succeeded', charge, refund });
    return refund;
  }

  /** The buyer's bank did not take it, even after it went through: the money is ours again. */
  fail(before: Refund): Refund {
    if (before.status === 'failed') return before;
    const { store, announce, now } = this.bank.parts;
    const charged = store.get('charge', before.charge)!;
    const charge = { ...charged, refunded: charged.refunded - before.amount };
    const { id, amount } = before;
    const line = writeLine(store, charge, 'refund_failure', id, amount, free, now());
    const refund: Refund = { ...before, status: 'failed', failureLine: line.id };
    store.put(charge);
    store.put(refund);
    announce(refund.gateway, { what: 'refund_failed', charge, refund });
    return refund;
  }

  dispute(before: Charge, amount: number, reason: string): Dispute {
    const { store, announce, settings, now } = this.bank.parts;
    if (before.status !== 'captured') throw new Refusal('not_captured');
    if (before.disputed) throw new Refusal('disputed');
    if (amount > before.captured - before.refunded) throw new Refusal('too_much');
    const { gateway, currency } = before;
    const fee = settings(gateway).dispute_fee;
    const id = newId(...disputePrefix[gateway]);
    const charge = { ...before, disputed: true };
    const line = writeLine(store, charge, 'dispute', id, -amount, { fee, tax: 0 }, now());
    const dispute: Dispute = {
      kind: 'dispute',
      id,
      gateway,
      createdMs: now(),
      charge: charge.id,
      intent: charge.intent,
      amount,
      currency,
      fee,
      reason,
      status: 'needs_response',
      dueMs: now() + ANSWER_WITHIN_MS,
      evidence: {},
      submissions: 0,
      lines: [line.id],
    };
    store.put(charge);
    store.put(dispute);
    announce(gateway, { what: 'dispute_opened', charge, dispute });
    return dispute;
  }

  /** Evidence, kept or handed in; handed in, the bank looks at it. */
  answer(before: Dispute, evidence: Labels, submit: boolean): Dispute {
    if (before.status !== 'needs_response') throw new Refusal('already_decided');
    const { store, announce } = this.bank.parts;
    const dispute: Dispute = {
      ...before,
      evidence: { ...before.evidence, ...evidence },
      submissions: before.submissions + (submit ? 1 : 0),
      status: submit ? 'under_review' : before.status,
    };
    store.put(dispute);
    const charge = store.get('charge', dispute.charge)!;
    announce(dispute.gateway, { what: 'dispute_updated', charge, dispute });
    return dispute;
  }

  /** Won, the amount comes back; the fee does not. */
  close(before: Dispute, status: 'won' | 'lost'): Dispute {
    if (before.status === 'won' || before.status === 'lost') throw new Refusal('already_decided');
    const { store, announce, now } = this.bank.parts;
    const disputed = store.get('charge', before.charge)!;
    const charge = { ...disputed, disputed: status === 'lost' };
    const { id, amount } = before;
    const lines =
      status === 'won'
        ? [writeLine(store, charge, 'dispute_reversal', id, amount, free, now()).id]
        : [];
    const dispute: Dispute = { ...before, status, lines: [...before.lines, ...lines] };
    store.put(charge);
    store.put(dispute);
    const what = status === 'won' ? 'dispute_won' : 'dispute_lost';
    announce(dispute.gateway, { what, charge, dispute });
    return dispute;
  }
}
