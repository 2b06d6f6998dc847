// A charge at Razorpay is several requests, and only the first ones may be called off: trouble
// after the payment was made means that nobody knows, never that nothing was done.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  type ChargeRequest,
  GatewayBusy,
  GatewayRefused,
  GatewayUnreachable,
} from '../../src/gateways/gateway.ts';
import { Razorpay } from '../../src/gateways/razorpay.ts';
import { type World, refusal, sandboxWorld } from './sandbox-world.ts';

let world: World;
let gateway: Razorpay;
beforeAll(async () => {
  world = await sandboxWorld();
  gateway = new Razorpay({
    baseUrl: world.urls.razorpay,
    keyId: 'rzp_test_sandbox',
    keySecret: 'sandbox',
    email: 'buyer@example.com',
    contact: '9000090000',
    timeoutMs: 2_000,
  });
});
afterAll(() => world.stop());

let payments = 0;
const request = (): ChargeRequest => {
  const paymentId = `pay_${++payments}`;
  return {
    key: `${paymentId}:charge:1`,
    paymentId,
    attempt: 1,
    amount: 5_000,
    currency: 'INR',
    method: { type: 'card', token: 'pm_card_visa' },
    capture: 'automatic',
    customerId: 'c_1',
    orderId: null,
    askedAt: new Date(),
    first: true,
    again: false,
  };
};

const charge = (asked: ChargeRequest) => gateway.charge(asked, new AbortController().signal);
const ambush = (method: string, path: string, fault: string): Promise<unknown> =>
  world.control('POST', '/faults', { gateway: 'razorpay', method, path, fault });

describe('after the payment was made', () => {
  test.each([
    ['GET', '/v1/payments/pay_', 'rate_limited'],
    ['POST', '/capture', 'rate_limited'],
    ['POST', '/capture', 'server_error'],
    ['POST', '/capture', 'reset_after'],
    ['POST', '/create/recurring', 'reset_after'],
  ])('%s %s, %s: unknown, and then the same payment goes on', async (method, path, fault) => {
    const asked = request();
    await ambush(method, path, fault);
    const error = await refusal(charge(asked));
    for (const said of [GatewayBusy, GatewayRefused, GatewayUnreachable])
      expect(error).not.toBeInstanceOf(said);
    const news = await charge({ ...asked, first: false, again: true });
    expect(news).toMatchObject({ news: 'captured', amount: 5_000 });
    expect(await chargesOf(asked)).toHaveLength(1);
  });
});

test('before it, a gateway that asks for patience is given it', async () => {
  const asked = request();
  await ambush('POST', '/v1/orders', 'rate_limited');
  expect(await refusal(charge(asked))).toBeInstanceOf(GatewayBusy);
  expect(await charge(asked)).toMatchObject({ news: 'captured' });
  expect(await chargesOf(asked)).toHaveLength(1);
});

const chargesOf = ({ paymentId }: ChargeRequest): Promise<unknown[]> =>
  world.control('GET', `/objects/razorpay/charge?payment_id=${paymentId}`);
