// What Razorpay tells by webhook of each happening: the entities concerned, as they were then.
import { type Charge, type Happening, type Told, newId } from '../objects.ts';
import type { SandboxStore } from '../store.ts';
import { seconds } from '../wire.ts';
import {
  type Entity,
  disputeEntity,
  orderEntity,
  paymentEntity,
  refundEntity,
  settlementEntity,
} from './shapes.ts';

type Pair = [type: string, entities: Record<string, Entity>];

const ACCOUNT = 'acc_SandboxAccount';

function pairsOf(happening: Happening, store: SandboxStore): Pair[] {
  switch (happening.what) {
    case 'charge_authorized':
      return [['payment.authorized', { payment: paymentEntity(happening.charge) }]];
    case 'charge_captured': {
      const payment = paymentEntity(happening.charge);
      return [
        ['payment.captured', { payment }],
        ['order.paid', { payment, order: orderEntity(happening.intent) }],
      ];
    }
    case 'charge_failed':
      return [['payment.failed', { payment: paymentEntity(happening.charge) }]];
    case 'refund_created':
    case 'refund_succeeded':
    case 'refund_failed': {
      const refund = refundEntity(happening.refund);
      return [[refundNames[happening.what], { refund, payment: paymentEntity(happening.charge) }]];
    }
    case 'dispute_opened':
    case 'dispute_updated':
    case 'dispute_won':
    case 'dispute_lost': {
      const dispute = disputeEntity(happening.dispute);
      return [
        [disputeNames[happening.what], { payment: paymentNow(happening.charge, store), dispute }],
      ];
    }
    case 'payout_paid':
      return [['settlement.processed', { settlement: settlementEntity(happening.payout) }]];
    // Orders say nothing by themselves, and payments only when something has come of them.
    default:
      return [];
  }
}

const refundNames = {
  refund_created: 'refund.created',
  refund_succeeded: 'refund.processed',
  refund_failed: 'refund.failed',
} as const;

const disputeNames = {
  dispute_opened: 'payment.dispute.created',
  dispute_updated: 'payment.dispute.under_review',
  dispute_won: 'payment.dispute.won',
  dispute_lost: 'payment.dispute.lost',
} as const;

const paymentNow = ({ id }: Charge, store: SandboxStore): Entity =>
  paymentEntity(store.get('charge', id)!);

/** Their id travels in a header, not in the body. */
export function razorpayEvents(happening: Happening, store: SandboxStore, nowMs: number): Told[] {
  return pairsOf(happening, store).map(([type, entities]) => {
    const payload = Object.fromEntries(
      Object.entries(entities).map(([name, entity]) => [name, { entity }]),
    );
    const body = JSON.stringify({
      entity: 'event',
      account_id: ACCOUNT,
      event: type,
      contains: Object.keys(entities),
      payload,
      created_at: seconds(nowMs),
    });
    const id = newId('', 14);
    return { kind: 'event', id, gateway: 'razorpay', createdMs: nowMs, type, body };
  });
}
