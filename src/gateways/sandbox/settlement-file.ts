// The settlement file: every line of the statement as CSV, oldest first, with our payment's id.
// Invariant: amounts are integers of minor units; net = amount - fee on every line, and the sum of
// `net` by currency is what the gateway still owes.
import { stringify } from 'csv-stringify/sync';
import type { GatewayName } from '../../../schemas/payments.ts';
import type { SandboxStore } from './store.ts';

export const settlementColumns = [
  'gateway',
  'line_id',
  'type',
  'payment_id',
  'reference',
  'source',
  'amount',
  'fee',
  'tax',
  'net',
  'currency',
  'settlement_id',
  'created_at',
] as const;
export type SettlementRow = Record<(typeof settlementColumns)[number], string>;

export function settlementFile(store: SandboxStore, gateways: readonly GatewayName[]): string {
  const rows = gateways.flatMap((gateway) =>
    store.all(gateway, 'line').map((line) => {
      const charge = line.charge ? store.get('charge', line.charge) : null;
      // What the payment is called there: Stripe's PaymentIntent, Razorpay's payment.
      const reference = gateway === 'stripe' ? charge?.intent : charge?.id;
      return {
        gateway,
        line_id: line.id,
        type: line.type,
        payment_id: line.paymentId ?? '',
        reference: reference ?? '',
        source: line.source,
        amount: line.amount,
        fee: line.fee,
        tax: line.tax,
        net: line.net,
        currency: line.currency,
        settlement_id: line.payout ?? '',
        created_at: new Date(line.createdMs).toISOString(),
      };
    }),
  );
  return stringify(rows, { header: true, columns: [...settlementColumns] });
}
