// What the rule makes of each kind of Stripe's webhooks, as a table: its object, and what is said
// of it in our words.
import { describe, expect, test } from 'bun:test';
import { webhookTypes } from '../../schemas/webhooks.ts';
import type { Decision } from '../../src/ledger/decision.ts';
import {
  decide,
  expectSaid,
  known,
  labels,
  payment_id,
  refund_id,
  reported,
  stripe,
  told,
  unknown,
} from './said.ts';

describe('Stripe', () => {
  const intent = { id: 'pi_1', currency: 'usd', metadata: labels };
  const refund = { id: 're_1', currency: 'usd', amount: 100, payment_intent: 'pi_1' };
  const done = { ...refund, status: 'succeeded', balance_transaction: 'txn_1' };
  const dispute = { id: 'dp_1', currency: 'usd', amount: 500, payment_intent: 'pi_1' };
  const say = (data: object) => reported('stripe', { reference: 'pi_1', ...data });
  const refunded = say({ news: 'refund_succeeded', amount: 100, subject: refund_id });
  const byHand = say({ news: 'refund_succeeded', amount: 100, subject: 'gateway:re_1' });
  const line = (fee: number, currency = 'usd') => ({ fee, currency });
  const opened = say({ news: 'dispute_opened', amount: 500, subject: 'dp_1' });

  const cases: [type: string, object: object, said: unknown, found?: object][] = [
    [
      'payment_intent.succeeded',
      { ...intent, amount_received: 4_000 },
      say({ news: 'captured', amount: 4_000 }),
    ],
    ['payment_intent.succeeded', { ...intent, metadata: {}, amount_received: 1 }, 'unrelated'],
    ['payment_intent.succeeded', { ...intent, metadata: null, amount_received: 1 }, 'unrelated'],
    [
      'payment_intent.succeeded',
      { ...intent, metadata: { payment_id: 'pay_1', attempt: '1' }, amount_received: 1 },
      'unrelated',
    ],
    [
      'payment_intent.succeeded',
      { ...intent, metadata: { payment_id, attempt: '101' }, amount_received: 1 },
      'unrelated',
    ],
    [
      'payment_intent.amount_capturable_updated',
      { ...intent, amount_capturable: 4_000 },
      say({ news: 'authorized', amount: 4_000 }),
    ],
    ['payment_intent.amount_capturable_updated', { ...intent, amount_capturable: 0 }, 'nothing'],
    [
      'payment_intent.payment_failed',
      { ...intent, last_payment_error: { code: 'card_declined', decline_code: 'lost_card' } },
      say({ news: 'failed', amount: 0, decline_reason: 'fraud_suspected' }),
    ],
    [
      'payment_intent.payment_failed',
      { ...intent, last_payment_error: { code: 'processing_error' } },
      say({ news: 'failed', amount: 0, decline_reason: 'processing_error' }),
    ],
    ['payment_intent.canceled', intent, say({ news: 'cancelled', amount: 0 })],
    ['payment_intent.created', intent, 'nothing'],
    ['charge.succeeded', { id: 'ch_1' }, 'nothing'],
    ['charge.refunded', { id: 'ch_1', metadata: labels, amount_refunded: 500 }, 'nothing'],
    ['refund.created', { ...done, metadata: { ...labels, refund_id } }, refunded],
    ['refund.updated', { ...done, metadata: { ...labels, refund_id } }, refunded],
    ['refund.created', { ...done, status: 'pending', metadata: labels }, 'nothing'],
    [
      'refund.failed',
      { ...done, status: 'failed', metadata: { ...labels, refund_id } },
      say({ news: 'refund_failed', amount: 100, subject: refund_id }),
    ],
    ['refund.created', { ...done, metadata: {} }, byHand, known],
    ['charge.refund.updated', { ...done, payment_intent: { id: 'pi_1' } }, byHand, known],
    ['refund.created', done, unknown],
    ['refund.created', { ...done, payment_intent: null }, 'unrelated'],
    // Let go before it was captured.
    ['refund.created', { ...done, balance_transaction: null }, 'nothing', known],
    ['charge.dispute.created', { ...dispute, status: 'needs_response' }, opened, known],
    ['charge.dispute.created', { ...dispute, status: 'needs_response' }, unknown],
    ['charge.dispute.created', { ...dispute, status: 'warning_needs_response' }, 'nothing', known],
    [
      'charge.dispute.funds_withdrawn',
      {
        ...dispute,
        status: 'under_review',
        balance_transactions: [line(1_500), line(900, 'eur')],
        evidence_details: { due_by: 1_767_225_600 },
      },
      say({
        ...{ news: 'dispute_opened', amount: 500, subject: 'dp_1', fee: 1_500 },
        due_by: '2026-01-01T00:00:00.000Z',
      }),
      known,
    ],
    [
      'charge.dispute.funds_reinstated',
      { ...dispute, status: 'won', balance_transactions: [line(1_500), line(-1_500)] },
      // The fee came back too.
      say({ news: 'dispute_won', amount: 500, subject: 'dp_1', fee: 0 }),
      known,
    ],
    [
      'charge.dispute.created',
      { ...dispute, status: 'needs_response', reason: 'product_not_received' },
      say({
        ...{ news: 'dispute_opened', amount: 500, subject: 'dp_1' },
        dispute_reason: 'product_not_received',
      }),
      known,
    ],
    ['charge.dispute.created', { ...dispute, status: 'needs_response', reason: 7 }, opened, known],
    [
      'charge.dispute.closed',
      { ...dispute, status: 'lost', evidence_details: { due_by: null } },
      say({ news: 'dispute_lost', amount: 500, subject: 'dp_1' }),
      known,
    ],
    ['charge.dispute.closed', { ...dispute, status: 'warning_closed' }, 'nothing', known],
    [
      'payout.paid',
      { id: 'po_1', currency: 'usd', amount: 900, arrival_date: 1_767_225_600, status: 'paid' },
      {
        'settlement.paid': {
          ...{ settlement_id: 'po_1', gateway: 'stripe', paid_at: '2026-01-01T00:00:00.000Z' },
          amount: { amount: 900, currency: 'USD' },
        },
      },
    ],
    ['customer.created', {}, 'unknown'],
    ['constructor', {}, 'unknown'],
  ];
  for (const [index, [type, object, said, found]] of cases.entries())
    test(`${type} #${index}`, () => expectSaid(stripe(type, object, found), said));

  test.each([
    ['no amount', { type: 'payment_intent.succeeded', data: { object: intent } }],
    ['an amount with a fraction', event({ ...intent, amount_received: 1.5 })],
    ['an amount below zero', event({ ...intent, amount_received: -1 })],
    ['an id that is none', event({ ...intent, id: 'pi/1', amount_received: 1 })],
    ['a type that is none', { type: 'a\u0000b', data: { object: {} } }],
    ['no object', { type: 'payment_intent.succeeded' }],
    ['a list', []],
    [
      'a payout that takes',
      {
        type: 'payout.paid',
        data: {
          object: { id: 'po_1', currency: 'usd', amount: -5, arrival_date: 1, status: 'paid' },
        },
      },
    ],
  ])('is a dead letter where it is not what is documented: %s', (_, body) => {
    expect(() => decide('stripe', JSON.stringify(body))).toThrow();
  });

  function event(object: object): object {
    return { type: 'payment_intent.succeeded', data: { object } };
  }

  test('money in another currency than the payment has is a dead letter', () => {
    const object = { ...done, currency: 'eur' };
    expect(() => stripe('refund.created', object, known)).toThrow(/currency/);
  });

  test('what no payment is found for is kept in the end, and posts nothing', () => {
    const body = { type: 'refund.created', data: { object: done } };
    const { otherwise } = decide('stripe', JSON.stringify(body)) as { otherwise: Decision };
    expect(told(otherwise)).toBe('unrelated');
  });
});

test('every type that is known is answered by its rule, and only with an object', () => {
  for (const type of webhookTypes.stripe)
    expect(() => decide('stripe', JSON.stringify({ type, data: { object: 3 } }))).toThrow();
});
