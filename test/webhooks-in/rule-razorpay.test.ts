// What the rule makes of each kind of Razorpay's webhooks, as a table: its entities, and what is
// said of them in our words.
import { describe, expect, test } from 'bun:test';
import { webhookTypes } from '../../schemas/webhooks.ts';
import {
  decide,
  expectSaid,
  known,
  labels,
  razorpay,
  refund_id,
  reported,
  unknown,
} from './said.ts';

describe('Razorpay', () => {
  const payment = { id: 'pay_R1', amount: 4_000, currency: 'INR', notes: labels };
  const refund = { id: 'rfnd_1', payment_id: 'pay_R1', amount: 100, currency: 'INR' };
  const dispute = { id: 'disp_1', payment_id: 'pay_R1', amount: 500, currency: 'INR' };
  const captured = { ...payment, status: 'captured', captured: true, fee: 94 };
  const say = (data: object) => reported('razorpay', { reference: 'pay_R1', ...data });
  const rupees = { ...known, currency: 'INR' };

  const cases: [type: string, entities: Record<string, object>, said: unknown, found?: object][] = [
    ['payment.captured', { payment: captured }, say({ news: 'captured', amount: 4_000, fee: 94 })],
    // Told late: it was captured before it was refunded.
    [
      'payment.captured',
      { payment: { ...captured, status: 'refunded' } },
      say({ news: 'captured', amount: 4_000, fee: 94 }),
    ],
    [
      'payment.captured',
      { payment: { ...payment, status: 'refunded', captured: false } },
      'nothing',
    ],
    ['payment.captured', { payment: { ...captured, notes: [] } }, 'unrelated'],
    [
      'payment.authorized',
      { payment: { ...payment, status: 'authorized', fee: null } },
      say({ news: 'authorized', amount: 4_000 }),
    ],
    [
      'payment.failed',
      { payment: { ...payment, status: 'failed', error_reason: 'insufficient_funds' } },
      say({ news: 'failed', amount: 0, decline_reason: 'insufficient_funds' }),
    ],
    ['order.paid', { payment: captured, order: {} }, 'nothing'],
    [
      'refund.processed',
      {
        refund: { ...refund, status: 'processed', notes: { ...labels, refund_id } },
        payment: captured,
      },
      say({ news: 'refund_succeeded', amount: 100, subject: refund_id }),
    ],
    // By hand: the payment's notes tell whose it is.
    [
      'refund.created',
      { refund: { ...refund, status: 'processed', notes: [] }, payment: captured },
      say({ news: 'refund_succeeded', amount: 100, subject: 'gateway:rfnd_1' }),
    ],
    ['refund.created', { refund: { ...refund, status: 'pending' }, payment: captured }, 'nothing'],
    [
      'refund.failed',
      { refund: { ...refund, status: 'failed', notes: labels } },
      say({ news: 'refund_failed', amount: 100, subject: 'gateway:rfnd_1' }),
    ],
    ['refund.processed', { refund: { ...refund, status: 'processed' } }, unknown],
    [
      'refund.processed',
      { refund: { ...refund, status: 'processed' } },
      say({ news: 'refund_succeeded', amount: 100, subject: 'gateway:rfnd_1' }),
      rupees,
    ],
    // Held, never captured, and given back.
    [
      'refund.processed',
      { refund: { ...refund, status: 'processed' }, payment: { ...captured, captured: false } },
      'nothing',
    ],
    [
      'payment.dispute.created',
      {
        dispute: { ...dispute, status: 'open', amount_deducted: 0, respond_by: 1_767_225_600 },
        payment: captured,
      },
      say({
        ...{ news: 'dispute_opened', amount: 0, subject: 'disp_1' },
        due_by: '2026-01-01T00:00:00.000Z',
      }),
    ],
    [
      'payment.dispute.lost',
      { dispute: { ...dispute, status: 'lost', amount_deducted: 500 }, payment: captured },
      say({ news: 'dispute_lost', amount: 500, subject: 'disp_1' }),
    ],
    [
      'payment.dispute.won',
      { dispute: { ...dispute, status: 'won' }, payment: captured },
      say({ news: 'dispute_won', amount: 500, subject: 'disp_1' }),
    ],
    [
      'payment.dispute.closed',
      { dispute: { ...dispute, status: 'closed' }, payment: captured },
      'nothing',
    ],
    [
      'payment.dispute.lost',
      { dispute: { ...dispute, status: 'lost' }, payment: { ...captured, notes: [] } },
      'unrelated',
    ],
    [
      'settlement.processed',
      { settlement: { id: 'setl_1', amount: 900, created_at: 1_767_225_600 } },
      {
        'settlement.paid': {
          ...{ settlement_id: 'setl_1', gateway: 'razorpay', paid_at: '2026-01-01T00:00:00.000Z' },
          amount: { amount: 900, currency: 'INR' },
        },
      },
    ],
    ['invoice.paid', {}, 'unknown'],
  ];
  for (const [index, [type, entities, said, found]] of cases.entries())
    test(`${type} #${index}`, () => expectSaid(razorpay(type, entities, found), said));

  test('is a dead letter where it is not what is documented', () => {
    expect(() => razorpay('payment.captured', {})).toThrow();
    expect(() => razorpay('payment.captured', { payment: { ...captured, amount: '4' } })).toThrow();
    expect(() => decide('razorpay', 'not JSON')).toThrow();
  });
});

test('every type that is known is answered by its rule, and only with entities', () => {
  for (const type of webhookTypes.razorpay)
    expect(() => decide('razorpay', JSON.stringify({ event: type, payload: 3 }))).toThrow();
});
