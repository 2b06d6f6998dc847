// A payment as the API shows it, from the row that its rules keep.
// Invariant: no token of a method leaves again.
import type { Static } from '@sinclair/typebox';
import type {
  DeclineReason,
  GatewayName,
  Payment,
  PaymentRequest,
  PaymentStatus,
  RefundStatus,
} from '../../schemas/payments.ts';
import type { PaymentRow } from '../store/payments.ts';

/** The row's body, as far as it is shown; consumers/payments-facts.ts says what it means. */
export interface PaymentBody {
  status: PaymentStatus;
  amount: number;
  currency: string;
  customer_id: string;
  method: PaymentRequest['method'];
  capture: 'automatic' | 'manual';
  gateway: GatewayName;
  reference: string | null;
  authorized: number;
  captured: number;
  refunds: Readonly<Record<string, { amount: number; status: Static<typeof RefundStatus> }>>;
  decline_reason: DeclineReason | null;
  order_id: string | null;
  redemption_id: string | null;
  metadata: Payment['metadata'] | null;
  initiated_at: string;
}

export function paymentAnswer({ id, body, updatedAt }: PaymentRow<PaymentBody>): Payment {
  return {
    id,
    status: body.status,
    amount: { amount: body.amount, currency: body.currency },
    captured: body.captured,
    refunded: refundsOf(body, 'succeeded'),
    refund_pending: refundsOf(body, 'pending'),
    refunds: Object.entries(body.refunds).map(([id, refund]) => ({ id, ...refund })),
    customer_id: body.customer_id,
    method: { type: body.method.type },
    capture: body.capture,
    gateway: body.gateway,
    gateway_reference: body.reference,
    decline_reason: body.decline_reason,
    order_id: body.order_id,
    redemption_id: body.redemption_id,
    metadata: body.metadata ?? {},
    created_at: body.initiated_at,
    updated_at: updatedAt.toISOString(),
  };
}

function refundsOf({ refunds }: PaymentBody, status: string): number {
  return Object.values(refunds)
    .filter((refund) => refund.status === status)
    .reduce((sum, { amount }) => sum + amount, 0);
}
