// The statement of an account at a gateway: a line for each movement, and payouts of what is there.
// Invariant: a line is never changed but to say by which payout it went; the sum of the lines'
// `net` is the balance, and after a payout the lines it took and its own sum to zero.
import type { GatewayName } from '../../../schemas/payments.ts';
import { applyRates } from '../../ledger/money.ts';
import { type Charge, type Line, type LineType, type Payout, newId } from './objects.ts';
import type { GatewaySettings } from './settings.ts';
import type { SandboxStore } from './store.ts';

const linePrefix: Record<GatewayName, [string, number]> = {
  stripe: ['txn_', 24],
  razorpay: ['txn_', 14],
};
const payoutPrefix: Record<GatewayName, [string, number]> = {
  stripe: ['po_', 24],
  razorpay: ['setl_', 14],
};

export interface Fee {
  /** Tax included. */
  fee: number;
  tax: number;
}

export function feeOf(amount: number, settings: GatewaySettings): Fee {
  const fee = applyRates(amount, settings.fee_bp) + settings.fee_fixed;
  const tax = applyRates(fee, settings.tax_bp);
  return { fee: fee + tax, tax };
}

/** Writes a line about a charge, or about a refund or dispute of it. */
export function writeLine(
  store: SandboxStore,
  charge: Charge,
  type: LineType,
  source: string,
  amount: number,
  { fee, tax }: Fee,
  createdMs: number,
): Line {
  const paymentId = charge.metadata['payment_id'] ?? null;
  const { gateway, currency } = charge;
  const line: Line = {
    kind: 'line',
    id: newId(...linePrefix[gateway]),
    gateway,
    createdMs,
    type,
    amount,
    fee,
    tax,
    net: amount - fee,
    currency,
    source,
    charge: charge.id,
    paymentId,
    payout: null,
  };
  store.put(line);
  return line;
}

/** One payout for each currency in which there is something. */
export function payOut(store: SandboxStore, gateway: GatewayName, createdMs: number): Payout[] {
  const open = Map.groupBy(
    store.list(gateway, 'line', { limit: -1, lookup: 'open' }),
    ({ currency }) => currency,
  );
  return [...open].flatMap(([currency, lines]) => {
    const sum = (of: (line: Line) => number): number =>
      lines.reduce((total, line) => total + of(line), 0);
    const amount = sum(({ net }) => net);
    if (amount <= 0) return [];
    const id = newId(...payoutPrefix[gateway]);
    const line: Line = {
      kind: 'line',
      id: newId(...linePrefix[gateway]),
      gateway,
      createdMs,
      type: 'payout',
      amount: -amount,
      fee: 0,
      tax: 0,
      net: -amount,
      currency,
      source: id,
      charge: null,
      paymentId: null,
      payout: id,
    };
    for (const each of [...lines, line]) store.put({ ...each, payout: id });
    const payout: Payout = {
      kind: 'payout',
      id,
      gateway,
      createdMs,
      amount,
      currency,
      fees: sum(({ fee }) => fee),
      tax: sum(({ tax }) => tax),
      line: line.id,
      reference: newId('UTR', 12),
    };
    store.put(payout);
    return [payout];
  });
}
