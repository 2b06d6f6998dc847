// What Stripe tells by webhook of each happening, and in which order: the object as it was then.
import { type Happening, type SandboxObject, type Told, newId } from '../objects.ts';
import type { SandboxStore } from '../store.ts';
import { seconds } from '../wire.ts';
import { shapeOf } from './shapes.ts';

/** Of the API that the objects follow; the official client of the tests has the same. */
export const API_VERSION = '2026-10-28.endive';

type Part = 'intent' | 'charge' | 'refund' | 'dispute' | 'payout';

/** Each happening's events in their order, and which object each shows. */
const table: Record<Happening['what'], readonly (readonly [type: string, shows: Part])[]> = {
  intent_created: [['payment_intent.created', 'intent']],
  intent_canceled: [
    ['charge.refunded', 'charge'],
    ['payment_intent.canceled', 'intent'],
  ],
  charge_action: [['payment_intent.requires_action', 'intent']],
  charge_pending: [
    ['charge.pending', 'charge'],
    ['payment_intent.processing', 'intent'],
  ],
  charge_authorized: [
    ['charge.succeeded', 'charge'],
    ['payment_intent.amount_capturable_updated', 'intent'],
  ],
  charge_captured: [
    ['charge.succeeded', 'charge'],
    ['payment_intent.succeeded', 'intent'],
  ],
  charge_failed: [
    ['charge.failed', 'charge'],
    ['payment_intent.payment_failed', 'intent'],
  ],
  refund_created: [
    ['refund.created', 'refund'],
    ['charge.refunded', 'charge'],
  ],
  refund_succeeded: [
    ['refund.updated', 'refund'],
    ['charge.refund.updated', 'refund'],
  ],
  refund_failed: [
    ['refund.failed', 'refund'],
    ['charge.refund.updated', 'refund'],
  ],
  dispute_opened: [
    ['charge.dispute.created', 'dispute'],
    ['charge.dispute.funds_withdrawn', 'dispute'],
  ],
  dispute_updated: [['charge.dispute.updated', 'dispute']],
  dispute_won: [
    ['charge.dispute.funds_reinstated', 'dispute'],
    ['charge.dispute.closed', 'dispute'],
  ],
  dispute_lost: [['charge.dispute.closed', 'dispute']],
  payout_paid: [
    ['payout.created', 'payout'],
    ['payout.paid', 'payout'],
  ],
};

export function stripeEvents(happening: Happening, store: SandboxStore, nowMs: number): Told[] {
  const objects = happening as Partial<Record<Part, SandboxObject | null>>;
  return table[happening.what].flatMap(([name, shows]) => {
    const object = objects[shows];
    if (!object) return [];
    const type = namedFor(name, happening);
    const id = newId('evt_', 24);
    const body = JSON.stringify({
      id,
      object: 'event',
      api_version: API_VERSION,
      created: seconds(nowMs),
      data: { object: shapeOf(object, store) },
      livemode: false,
      pending_webhooks: 1,
      request: { id: null, idempotency_key: null },
      type,
    });
    return [{ kind: 'event', id, gateway: 'stripe', createdMs: nowMs, type, body }];
  });
}

/** A charge that was held before has succeeded already, and is now captured. */
function namedFor(name: string, happening: Happening): string {
  const wasHeld = happening.what === 'charge_captured' && happening.intent.capture === 'manual';
  return wasHeld && name === 'charge.succeeded' ? 'charge.captured' : name;
}
