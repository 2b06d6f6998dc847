// What gateways refuse after a payment was authorised, and money that moves for a try that was
// given up: it goes back, and the books show it meanwhile.
import { describe, expect, test } from 'bun:test';
import { AMOUNT, asked, initiated, news, pathTo, payment_id, played } from './payments-steps.ts';

describe('a command that the gateway refused', () => {
  const capture = (amount: number) => asked('capture.requested', { amount });
  const said = (kind: string, tries: number) =>
    news(`${kind}_failed`, { subject: `${payment_id}:${kind}:${tries}` });

  test('may be asked again, under another key', () => {
    const ledger = played([...pathTo.authorized, capture(100), said('capture', 1), capture(200)]);
    ledger.play(said('capture', 1));
    expect(ledger.payment).toMatchObject({ status: 'authorized', capture_asked: 200 });
    expect(ledger.play(asked('cancel.requested'))).toMatchObject({ reason: 'already_requested' });
    ledger.play(said('capture', 2));
    expect(ledger.play(asked('cancel.requested')).verdict).toBe('post');
    expect(ledger.play(capture(200))).toMatchObject({ reason: 'already_requested' });
    ledger.play(said('cancel', 1));
    expect(ledger.play(asked('cancel.requested')).verdict).toBe('post');
    expect(ledger.calls.slice(1).map(({ key }) => key.slice(payment_id.length + 1))).toEqual([
      ...['capture:1', 'capture:2', 'cancel:1', 'cancel:2'],
    ]);
  });
});

test('a part is not asked of a gateway that captures the whole only', () => {
  const part = asked('capture.requested', { amount: 100 });
  const ledger = played([initiated(), news('authorized', { gateway: 'razorpay' }), part]);
  expect(ledger.play(part)).toMatchObject({ reason: 'partial_capture_unsupported' });
  expect(ledger.play(asked('capture.requested', { amount: AMOUNT })).verdict).toBe('post');
});

describe('money that moved for a try that was given up', () => {
  const away = news('failed', { attempt: 1, decline_reason: 'no_gateway_available' });
  const here = { attempt: 2, gateway: 'razorpay', reference: 'rzp_1' };
  const elsewhere = [initiated(), away, news('captured', here)];
  const stray = `${payment_id}:stray:1`;

  test('goes back, and the payment stands as it was', () => {
    const ledger = played([...elsewhere, news('captured', { fee: 175 })]);
    expect(ledger.payment).toMatchObject({ status: 'captured', gateway: 'razorpay' });
    expect(ledger.calls.at(-1)).toMatchObject({ key: `${stray}:refund`, kind: 'refund' });
    expect(ledger.balances.get('payments:strays USD')).toBe(AMOUNT);
    ledger.play(news('refund_succeeded', { subject: `${stray}:refund` }));
    expect(Object.fromEntries(ledger.balances)).toEqual({
      'gateway:razorpay:clearing USD': -AMOUNT,
      'gateway:stripe:clearing USD': 175,
      'payments:fees USD': -175,
      'payments:sales USD': AMOUNT,
    });
    // Whatever comes again changes nothing.
    const [calls, balances] = [ledger.calls.length, new Map(ledger.balances)];
    for (const step of [news('captured', { fee: 175 }), news('authorized'), away])
      ledger.play(step);
    expect([ledger.calls.length, ledger.balances]).toEqual([calls, balances]);
  });

  test('is given back when it was only held', () => {
    const ledger = played([...elsewhere, news('authorized')]);
    expect(ledger.calls.at(-1)).toMatchObject({ key: `${stray}:cancel`, kind: 'cancel' });
    ledger.play(news('captured'));
    expect(ledger.calls.at(-1)).toMatchObject({ key: `${stray}:refund`, kind: 'refund' });
  });
});
