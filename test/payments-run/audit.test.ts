// The judge of runs: one small world in order, and every wrong that is planted in it is found.
import { expect, test } from 'bun:test';
import type { PaymentFacts } from '../../consumers/payments-facts.ts';
import type { Charge } from '../../src/gateways/sandbox/objects.ts';
import type { SettlementRow } from '../../src/gateways/sandbox/settlement-file.ts';
import { type Balance, type Evidence, judge } from './audit.ts';
import { type WishKind, wishesOf } from './wishes.ts';

const [wish] = wishesOf(1, 1, []);

interface World {
  kind: WishKind;
  payment: Partial<PaymentFacts>;
  charges: number;
  lines: Partial<SettlementRow>[];
  balances: Balance[];
}

const inOrder = (): World => ({
  kind: 'bought',
  payment: { status: 'captured', captured: 1_000, fee: 59 },
  charges: 1,
  lines: [{ type: 'charge', amount: '1000', fee: '59', net: '941' }],
  balances: [
    { account: 'gateway:stripe:clearing', unit: 'USD', balance: -941 },
    { account: 'payments:sales', unit: 'USD', balance: 1_000 },
    { account: 'payments:fees', unit: 'USD', balance: -59 },
  ],
});

function evidenceOf({ kind, payment, charges, lines, balances }: World): Evidence {
  const facts = {
    captured: 0,
    fee: 0,
    refunds: {},
    disputes: {},
    strays: {},
    decline_reason: null,
    ...payment,
  };
  const charge = { status: 'captured', metadata: { payment_id: 'pay_1' } } as unknown as Charge;
  const file = lines.map((line) => ({
    ...{ gateway: 'stripe', currency: 'USD', payment_id: 'pay_1' },
    ...line,
  }));
  return {
    orders: [{ wish: { ...wish!, kind }, id: 'pay_1', refundAsked: 0 }],
    payments: new Map([['pay_1', facts as unknown as PaymentFacts]]),
    charges: Array<Charge>(charges).fill(charge),
    lines: file as unknown as SettlementRow[],
    balances,
  };
}

test('a world in order is found in order', () => {
  const { wrong, capturedCharges } = judge(evidenceOf(inOrder()));
  expect(wrong).toEqual([]);
  expect(capturedCharges).toEqual({ 0: 0, 1: 1 });
});

const planted: [string, (world: World) => void, RegExp][] = [
  ['charged twice', (world) => (world.charges = 2), /charged 2 times/],
  [
    'charged and failed',
    (world) => (world.payment = { status: 'failed' }),
    /charged and is failed/,
  ],
  ['a cent of fees', (world) => (world.payment.fee = 60), /"fees":60.*"fees":59/],
  ['a line nobody posted', (world) => world.lines.push(world.lines[0]!), /"captured":1000.*2000/],
  ['a clearing account off', (world) => (world.balances[0]!.balance = -940), /clearing USD: 940/],
  ['sales off', (world) => (world.balances[1]!.balance = 999), /payments:sales.*999, not 1000/],
  ['a hold left', ({ balances }) => hold(balances), /payments:authorized USD: 5, not 0/],
  ['a stranger', ({ lines }) => lines.push({ payment_id: 'pay_2' }), /pay_2 is in the file/],
  ['declined and captured', (world) => (world.kind = 'declined'), /"declined" rests as captured/],
  ['a sale lost', (world) => lose(world), /of 1 chargeable payments 0 succeeded/],
];

function hold(balances: Balance[]): void {
  balances.push({ account: 'payments:authorized', unit: 'USD', balance: 5 });
}

function lose(world: World): void {
  const payment = { status: 'failed', captured: 0, fee: 0 } as const;
  Object.assign(world, { payment, charges: 0, lines: [], balances: [] });
}

test.each(planted)('%s is found', (_, plant, finding) => {
  const world = inOrder();
  plant(world);
  expect(judge(evidenceOf(world)).wrong.join('\n')).toMatch(finding);
});

test('a payment that is gone is found', () => {
  const { wrong } = judge({ ...evidenceOf(inOrder()), payments: new Map() });
  expect(wrong.join('\n')).toMatch(/pay_1 was accepted and is not there/);
});
