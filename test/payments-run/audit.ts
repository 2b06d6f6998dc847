// The judge of a run: what the ledger says against what the gateways' own bank says, payment by
// payment and account by account. Pure: it gets rows and gives figures and findings.
// Invariant: nothing that the product answered is evidence here; only what it kept, and what the
// sandbox did.
import type { PaymentFacts } from '../../consumers/payments-facts.ts';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import type { Charge } from '../../src/gateways/sandbox/objects.ts';
import type { SettlementRow } from '../../src/gateways/sandbox/settlement-file.ts';
import type { Order } from './shop.ts';
import { isChargeable, restsAs } from './wishes.ts';

export interface Balance {
  account: string;
  unit: string;
  balance: number;
}

export interface Evidence {
  orders: readonly Order[];
  /** Of the ledger, by `pay_…`. */
  payments: ReadonlyMap<string, PaymentFacts>;
  charges: readonly Charge[];
  lines: readonly SettlementRow[];
  balances: readonly Balance[];
}

export interface Comparison {
  gateway: GatewayName;
  currency: string;
  lines: number;
  /** Minor units: what the gateway owes by its file, and by our books. */
  file: number;
  books: number;
}

export interface Verdict {
  accepted: number;
  statuses: Record<string, number>;
  declined: Record<string, number>;
  chargeable: number;
  succeeded: number;
  /** How many payments have so many captured charges. */
  capturedCharges: Record<number, number>;
  comparisons: Comparison[];
  wrong: string[];
}

/** Exclusive. */
export const SUCCESS_ABOVE = 0.995;

export function judge(evidence: Evidence): Verdict {
  const { orders, payments } = evidence;
  const wrong: string[] = [];
  const statuses: Record<string, number> = {};
  const declined: Record<string, number> = {};
  const accepted = orders.filter(({ id }) => id !== null);
  let succeeded = 0;
  for (const { wish, id } of accepted) {
    const payment = payments.get(id!);
    if (!payment) {
      wrong.push(`${id} was accepted and is not there`);
      continue;
    }
    const { status, decline_reason: reason } = payment;
    count(statuses, status);
    if (status === 'failed') count(declined, reason ?? 'without a reason');
    if (isChargeable(wish) && status !== 'failed') succeeded++;
    const expected = isChargeable(wish) && status === 'failed' ? 'failed' : restsAs[wish.kind];
    if (status !== expected) wrong.push(`${id}: "${wish.kind}" rests as ${status}`);
  }
  if (payments.size !== accepted.length)
    wrong.push(`${payments.size} payments are there, ${accepted.length} were accepted`);
  const chargeable = accepted.filter(({ wish }) => isChargeable(wish)).length;
  if (chargeable > 0 && succeeded / chargeable <= SUCCESS_ABOVE)
    wrong.push(`of ${chargeable} chargeable payments ${succeeded} succeeded`);
  return {
    ...{ accepted: accepted.length, statuses, declined, chargeable, succeeded },
    capturedCharges: capturedByPayment(evidence, wrong),
    comparisons: comparisonsOf(evidence, wrong),
    wrong: [...wrong, ...paymentsAgainstFile(evidence), ...accountsAgainstFile(evidence)],
  };
}

/** A payment is charged once at most, whatever was tried, and where. */
function capturedByPayment({ charges, payments }: Evidence, wrong: string[]) {
  const captured = charges.filter(({ status }) => status === 'captured');
  const byPayment = Map.groupBy(captured, ({ metadata }) => metadata['payment_id'] ?? '');
  const counts: Record<number, number> = { 0: payments.size };
  for (const [id, of] of byPayment) {
    counts[0]!--;
    counts[of.length] = (counts[of.length] ?? 0) + 1;
    if (of.length > 1) wrong.push(`${id} was charged ${of.length} times`);
    const payment = payments.get(id);
    if (!payment) wrong.push(`${id} was charged and is not ours`);
    else if (payment.captured === 0) wrong.push(`${id} was charged and is ${payment.status}`);
  }
  return counts;
}

function comparisonsOf({ lines, balances }: Evidence, wrong: string[]): Comparison[] {
  const currencies = [...new Set([...lines.map((line) => line.currency), ...unitsOf(balances)])];
  return gatewayNames.flatMap((gateway) =>
    currencies.toSorted().map((currency) => {
      const own = lines.filter((line) => line.gateway === gateway && line.currency === currency);
      const account = `gateway:${gateway}:clearing`;
      const file = sum(own, 'net');
      // What a gateway owes us is negative there.
      const books = 0 - balanceOf(balances, account, currency);
      if (file !== books) wrong.push(`${account} ${currency}: ${books}, the file says ${file}`);
      return { gateway, currency, lines: own.length, file, books };
    }),
  );
}

/** Each payment's captured amount, fees, refunds and disputes are those of its lines. */
function paymentsAgainstFile({ lines, payments }: Evidence): string[] {
  const ofPayments = lines.filter(({ type }) => type !== 'payout');
  const byPayment = Map.groupBy(ofPayments, (line) => line.payment_id);
  const strangers = [...byPayment.keys()].filter((id) => !payments.has(id));
  const differing = [...payments].flatMap(([id, payment]) => {
    const own = byPayment.get(id) ?? [];
    const file = JSON.stringify({
      captured: sum(ofTypes(own, 'charge'), 'amount'),
      fees: sum(own, 'fee'),
      refunded: 0 - sum(ofTypes(own, 'refund', 'refund_failure'), 'amount'),
      disputed: 0 - sum(ofTypes(own, 'dispute', 'dispute_reversal'), 'amount'),
    });
    const books = JSON.stringify(sumsOf(payment));
    return file === books ? [] : [`${id}: ${books}, the file says ${file}`];
  });
  return [...strangers.map((id) => `${id} is in the file and not ours`), ...differing];
}

function sumsOf({ captured, fee, refunds, disputes, strays }: PaymentFacts) {
  const add = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);
  const gone = Object.values(refunds).filter(({ status }) => status === 'succeeded');
  const all = Object.values(disputes);
  const held = all.filter(({ status }) => status !== 'won');
  const stray = Object.values(strays);
  return {
    captured: captured + add(stray.map((each) => each.captured)),
    fees: fee + add([...all, ...stray].map((each) => each.fee)),
    refunded: add(gone.map(({ amount }) => amount)) + add(stray.map((each) => each.refunded)),
    disputed: add(held.map(({ amount }) => amount)),
  };
}

/** The other side of the books, which no gateway knows, follows from its file all the same. */
function accountsAgainstFile({ lines, balances }: Evidence): string[] {
  const expected: [accounts: string[], of: (own: readonly SettlementRow[]) => number][] = [
    [
      // What strays is given back: in the file a charge and a refund like any other.
      ['payments:sales', 'payments:refunds', 'payments:strays'],
      (own) => sum(ofTypes(own, 'charge', 'refund', 'refund_failure'), 'amount'),
    ],
    [['payments:fees'], (own) => 0 - sum(own, 'fee')],
    [
      ['payments:disputed', 'payments:chargebacks'],
      (own) => sum(ofTypes(own, 'dispute', 'dispute_reversal'), 'amount'),
    ],
    [['payments:bank'], (own) => sum(ofTypes(own, 'payout'), 'amount')],
    [['payments:authorized'], () => 0],
    [gatewayNames.map((name) => `gateway:${name}:authorized`), () => 0],
  ];
  return unitsOf(balances).flatMap((unit) => {
    const own = lines.filter(({ currency }) => currency === unit);
    return expected.flatMap(([accounts, of]) => {
      const books = accounts.reduce((all, name) => all + balanceOf(balances, name, unit), 0);
      const file = of(own);
      return books === file ? [] : [`${accounts.join(' + ')} ${unit}: ${books}, not ${file}`];
    });
  });
}

function unitsOf(balances: readonly Balance[]): string[] {
  const currency = /^[A-Z]{3}$/;
  return [...new Set(balances.map(({ unit }) => unit))].filter((unit) => currency.test(unit));
}

function balanceOf(balances: readonly Balance[], account: string, unit: string): number {
  return balances.find((each) => each.account === account && each.unit === unit)?.balance ?? 0;
}

function ofTypes(lines: readonly SettlementRow[], ...types: string[]): SettlementRow[] {
  return lines.filter(({ type }) => types.includes(type));
}

function sum(lines: readonly SettlementRow[], column: 'amount' | 'fee' | 'net'): number {
  return lines.reduce((all, line) => all + Number(line[column]), 0);
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
