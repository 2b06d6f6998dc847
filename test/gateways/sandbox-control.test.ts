// What the control decides: charges that wait, authorizations that lapse, refunds, who is down; and
// the encoding of forms, which anybody may send.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { WrongForm, parseForm } from '../../src/gateways/sandbox/stripe/form.ts';
import { type World, refusal, sandboxWorld, until } from './sandbox-world.ts';

let world: World;
beforeAll(async () => {
  world = await sandboxWorld();
});
afterAll(() => world.stop());

const charged = (token: string, manual = false) =>
  world.stripe.paymentIntents.create({
    amount: 900,
    currency: 'eur',
    payment_method: token,
    confirm: true,
    capture_method: manual ? 'manual' : 'automatic',
    metadata: { payment_id: `pay_${token}_${manual}` },
  });
const chargeOf = async (payment: string): Promise<{ id: string }> => {
  const route = `/objects/stripe/charge?payment_id=${payment}`;
  const [found] = await world.control<{ id: string }[]>('GET', route);
  return found!;
};
const statusOf = async (id: string): Promise<string> =>
  (await world.stripe.paymentIntents.retrieve(id)).status;

describe('decisions', () => {
  test('a buyer who was asked says yes, another says no', async () => {
    const token = 'pm_card_authenticationRequired';
    for (const [verdict, status] of [
      ['succeed', 'succeeded'],
      ['fail', 'requires_payment_method'],
    ] as const) {
      const asked = `${token}~${verdict}`;
      const intent = await charged(asked);
      const { id } = await chargeOf(`pay_${asked}_false`);
      await world.control('POST', `/charges/${id}/${verdict}`);
      expect(await statusOf(intent.id)).toBe(status);
      const again = refusal(world.control('POST', `/charges/${id}/succeed`));
      expect(String(await again)).toContain('409');
    }
  });

  test('an authorization that nobody captures lapses, and then cannot be captured', async () => {
    const intent = await charged('pm_card_visa', true);
    const { id } = await chargeOf('pay_pm_card_visa_true');
    await world.control('POST', `/charges/${id}/expire`);
    expect(await statusOf(intent.id)).toBe('canceled');
    expect(await refusal(world.stripe.paymentIntents.capture(intent.id))).toMatchObject({
      code: 'payment_intent_unexpected_state',
    });
    const lines = (await world.settlement()).filter(({ payment_id }) =>
      payment_id.startsWith('pay_pm_card_visa_true'),
    );
    expect(lines).toEqual([]);
  });

  test('a dispute is named by our payment, a refund ends as told', async () => {
    const intent = await charged('pm_card_pendingRefund');
    const payment_intent = intent.id;
    const refund = await world.stripe.refunds.create({ payment_intent, amount: 100 });
    expect(refund.status).toBe('pending');
    await world.control('POST', `/refunds/${refund.id}/fail`);
    expect((await world.stripe.refunds.retrieve(refund.id)).status).toBe('failed');
    const payment = 'pay_pm_card_pendingRefund_false';
    await world.control('POST', '/disputes', { payment, amount: 300, reason: 'duplicate' });
    const [dispute] = (await world.stripe.disputes.list({ payment_intent })).data;
    expect(dispute).toMatchObject({ amount: 300, reason: 'duplicate' });
    for (const [wrong, code] of [
      [{ payment: 'pay_nobody' }, '404'],
      [{ payment, amount: 1 }, '409'],
      [{ payment, amount: 0.5 }, '409'],
    ] as const)
      expect(String(await refusal(world.control('POST', '/disputes', wrong)))).toContain(code);
  });
});

describe('down', () => {
  const reached = (): Promise<number | null> =>
    fetch(`${world.urls.stripe}/v1/balance`, {
      headers: { authorization: 'Bearer sk_test_abcd' },
      signal: AbortSignal.timeout(300),
    }).then(
      ({ status }) => status,
      () => null,
    );

  test.each([
    ['silent', null],
    ['unavailable', 503],
    ['refused', null],
  ])('%s', async (down, status) => {
    await world.control('PATCH', '/settings', { stripe: { down, hold_ms: 1_000 } });
    expect(await reached()).toBe(status);
    await world.control('PATCH', '/settings', { stripe: { down: null } });
    await until(async () => (await reached()) === 200);
  });

  test('a change while another is under way is followed too', async () => {
    const changes = ['refused', null, 'refused', null].map((down) =>
      world.control('PATCH', '/settings', { stripe: { down } }),
    );
    await Promise.all(changes);
    await until(async () => (await reached()) === 200);
  });
});

test('the control answers no pages, and names what is wrong', async () => {
  const { control } = world.urls;
  const page = await fetch(`${control}/settings`, { headers: { origin: 'http://elsewhere' } });
  expect(page.status).toBe(403);
  expect((await fetch(`${control}/nothing`)).status).toBe(404);
  expect((await fetch(`${control}/settings`, { method: 'PATCH', body: '{' })).status).toBe(422);
  const fault = { gateway: 'stripe', fault: 'flood', path: '/' };
  expect(String(await refusal(world.control('POST', '/faults', fault)))).toContain('422');
});

describe('forms', () => {
  const parsed = (text: string): unknown =>
    JSON.parse(JSON.stringify(parseForm(new URLSearchParams(text))));

  test.each([
    ['a=1&b[c]=2&b[d][e]=3', { a: '1', b: { c: '2', d: { e: '3' } } }],
    ['a[]=1&a[]=2', { a: ['1', '2'] }],
    ['a[0][b]=1&a[1][b]=2', { a: [{ b: '1' }, { b: '2' }] }],
    ['a[1]=x', { a: { 1: 'x' } }],
  ])('%s', (text, expected) => {
    expect(parsed(text)).toEqual(expected as object);
  });

  test.each(['a[=1', 'a]=1', '[a]=1', 'a=1&a[b]=2', `a${'[b]'.repeat(9)}=1`])(
    '%s is refused',
    (text) => {
      expect(() => parsed(text)).toThrow(WrongForm);
    },
  );

  test('no name reaches a prototype', () => {
    parsed('__proto__[polluted]=1&constructor[prototype][polluted]=1&a[__proto__][polluted]=1');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    expect('polluted' in {}).toBe(false);
  });
});
