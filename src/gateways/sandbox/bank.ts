// The money side of the sandbox: what may be done to an intent and its charges, and what each step
// writes to the statement. Both wires call it, and turn its refusals into their own errors.
// Invariant: an intent is captured at most once; what is refunded never exceeds what was captured;
// every change of the balance is a line of the statement.
import type { GatewayName } from '../../../schemas/payments.ts';
import {
  type Charge,
  type Happening,
  type Intent,
  type Labels,
  type Payout,
  newId,
} from './objects.ts';
import type { GatewaySettings } from './settings.ts';
import { feeOf, payOut, writeLine } from './statement.ts';
import type { SandboxStore } from './store.ts';
import { type Behaviour, behaviourOf } from './tokens.ts';

export type RefusalReason =
  | 'wrong_status'
  | 'already_captured'
  | 'too_much'
  | 'already_refunded'
  | 'not_captured'
  | 'disputed'
  | 'unknown_token'
  | 'already_decided';

/** The caller asked for what cannot be; nothing was changed. */
export class Refusal extends Error {
  constructor(readonly reason: RefusalReason) {
    super(reason);
  }
}

export interface BankParts {
  store: SandboxStore;
  settings(gateway: GatewayName): GatewaySettings;
  announce(gateway: GatewayName, happening: Happening): void;
  now(): number;
}

export type NewIntent = Pick<
  Intent,
  'gateway' | 'amount' | 'currency' | 'capture' | 'metadata' | 'receipt' | 'description'
> & { customer: string | null };

export interface Try {
  token: string;
  metadata: Labels;
  /** The buyer is not there to be asked: what would ask is declined. */
  offSession: boolean;
  email?: string | null;
  contact?: string | null;
}

const chargePrefix: Record<GatewayName, [string, number]> = {
  stripe: ['ch_', 24],
  razorpay: ['pay_', 14],
};
const intentPrefix: Record<GatewayName, [string, number]> = {
  stripe: ['pi_', 24],
  razorpay: ['order_', 14],
};
export class Bank {
  /** Set by disputes.ts, which opens those that a token asks for. */
  afterCapture: (charge: Charge, behaviour: Behaviour) => void = () => {};

  constructor(readonly parts: BankParts) {}

  openIntent(fields: NewIntent): Intent {
    const { store, announce, now } = this.parts;
    const { gateway } = fields;
    const intent: Intent = {
      kind: 'intent',
      id: newId(...intentPrefix[gateway]),
      createdMs: now(),
      status: 'requires_payment_method',
      token: null,
      latest: null,
      attempts: 0,
      canceledMs: null,
      cancelReason: null,
      ...fields,
    };
    store.put(intent);
    store.label(gateway, intent.id, intent.metadata);
    announce(gateway, { what: 'intent_created', intent, charge: null });
    return intent;
  }

  /**
   * Charges a token; what comes of it is in the charge's status. An intent may be tried again until
   * it is captured, even while one try is undecided; a wire that is stricter refuses before.
   */
  tryToken(intent: Intent, { token, metadata, offSession, email, contact }: Try): Charge {
    const { store, now } = this.parts;
    const behaviour = behaviourOf(token);
    if (!behaviour) throw new Refusal('unknown_token');
    if (intent.status === 'succeeded') throw new Refusal('already_captured');
    if (intent.status === 'canceled') throw new Refusal('wrong_status');
    const charge: Charge = {
      kind: 'charge',
      id: newId(...chargePrefix[intent.gateway]),
      gateway: intent.gateway,
      createdMs: now(),
      intent: intent.id,
      status: 'pending',
      amount: intent.amount,
      currency: intent.currency,
      captured: 0,
      refunded: 0,
      disputed: false,
      fee: 0,
      tax: 0,
      token,
      method: behaviour.method,
      decline: null,
      line: null,
      metadata: { ...intent.metadata, ...metadata },
      email: email ?? null,
      contact: contact ?? null,
    };
    store.put(charge);
    const tried = { ...intent, token, latest: charge.id, attempts: intent.attempts + 1 };
    return this.begin(tried, charge, behaviour, offSession);
  }

  private begin(intent: Intent, charge: Charge, behaviour: Behaviour, alone: boolean): Charge {
    switch (behaviour.charge) {
      case 'succeeds':
        return this.authorize(intent, charge, behaviour);
      case 'declined':
        return this.fail(intent, charge, behaviour.decline!);
      case 'action':
        if (alone) return this.fail(intent, charge, behaviour.decline!);
        return this.wait(intent, { ...charge, status: 'action' }, 'requires_action');
      case 'pending': {
        const { store, settings, now } = this.parts;
        store.later(now() + settings(charge.gateway).pending_ms, 'decide', charge.id);
        return this.wait(intent, charge, 'processing');
      }
    }
  }

  private wait(before: Intent, charge: Charge, status: Intent['status']): Charge {
    const intent = { ...before, status };
    this.save(intent, charge);
    const what = charge.status === 'action' ? 'charge_action' : 'charge_pending';
    this.parts.announce(charge.gateway, { what, intent, charge });
    return charge;
  }

  /** A charge that waited is decided: as its token says, or as told. */
  decide(charge: Charge, as?: 'succeeds' | 'fails'): Charge {
    if (charge.status !== 'pending' && charge.status !== 'action')
      throw new Refusal('already_decided');
    const intent = this.intentOf(charge);
    const behaviour = behaviourOf(charge.token)!;
    const fails = as ? as === 'fails' : behaviour.decline !== null;
    // Another try of the same order may have been captured meanwhile, or it was cancelled.
    if (fails || intent.status === 'canceled' || intent.status === 'succeeded')
      return this.fail(intent, charge, behaviour.decline ?? 'authentication_required');
    return this.authorize(intent, charge, behaviour);
  }

  private authorize(before: Intent, tried: Charge, behaviour: Behaviour): Charge {
    const charge: Charge = { ...tried, status: 'authorized' };
    const intent: Intent = { ...before, status: 'requires_capture', latest: charge.id };
    this.save(intent, charge);
    if (intent.capture === 'manual' || charge.gateway === 'razorpay')
      this.parts.announce(charge.gateway, { what: 'charge_authorized', intent, charge });
    if (intent.capture === 'manual') return charge;
    return this.settle(intent, charge, charge.amount, behaviour);
  }

  private fail(before: Intent, tried: Charge, decline: string): Charge {
    const charge: Charge = { ...tried, status: 'failed', decline };
    const decided = before.status === 'succeeded' || before.status === 'canceled';
    const intent: Intent = decided ? before : { ...before, status: 'requires_payment_method' };
    this.save(intent, charge);
    this.parts.announce(charge.gateway, { what: 'charge_failed', intent, charge });
    return charge;
  }

  capture(charge: Charge, amount: number): Charge {
    if (charge.status === 'captured') throw new Refusal('already_captured');
    const intent = this.intentOf(charge);
    if (charge.status !== 'authorized' || intent.status !== 'requires_capture')
      throw new Refusal('wrong_status');
    if (amount > charge.amount) throw new Refusal('too_much');
    return this.settle(intent, charge, amount, behaviourOf(charge.token)!);
  }

  /** What is not captured goes back to the buyer. */
  private settle(before: Intent, tried: Charge, amount: number, behaviour: Behaviour): Charge {
    const { store, settings, announce, now } = this.parts;
    const fee = feeOf(amount, settings(tried.gateway));
    const line = writeLine(store, tried, 'charge', tried.id, amount, fee, now());
    const charge: Charge = {
      ...tried,
      ...fee,
      status: 'captured',
      captured: amount,
      line: line.id,
    };
    const intent: Intent = { ...before, status: 'succeeded', latest: charge.id };
    this.save(intent, charge);
    announce(charge.gateway, { what: 'charge_captured', intent, charge });
    this.afterCapture(charge, behaviour);
    return store.get('charge', charge.id)!;
  }

  cancel(before: Intent, reason: string | null): Intent {
    const { store, announce, now } = this.parts;
    if (before.status === 'succeeded' || before.status === 'canceled')
      throw new Refusal('wrong_status');
    // What is on its way at a bank cannot be called back.
    if (before.status === 'processing') throw new Refusal('wrong_status');
    const latest = before.latest ? store.get('charge', before.latest) : null;
    const charge: Charge | null =
      latest?.status === 'authorized' ? { ...latest, status: 'released' } : null;
    const unasked: Charge | null =
      latest?.status === 'action'
        ? { ...latest, status: 'failed', decline: 'payment_timed_out' }
        : null;
    const intent: Intent = {
      ...before,
      status: 'canceled',
      canceledMs: now(),
      cancelReason: reason,
    };
    store.put(intent);
    for (const each of [charge, unasked]) if (each) store.put(each);
    announce(intent.gateway, { what: 'intent_canceled', intent, charge });
    return intent;
  }

  payOut(gateway: GatewayName): Payout[] {
    const { store, announce, now } = this.parts;
    const payouts = payOut(store, gateway, now());
    for (const payout of payouts) announce(gateway, { what: 'payout_paid', payout });
    return payouts;
  }

  intentOf(charge: Charge): Intent {
    return this.parts.store.get('intent', charge.intent)!;
  }

  private save(intent: Intent, charge: Charge): void {
    this.parts.store.put(intent);
    this.parts.store.put(charge);
  }
}
