// Both adapters before one sandbox, and payments to carry out with them.
import { afterAll } from 'bun:test';
import type { GatewayName } from '../../schemas/payments.ts';
import type { ChargeRequest, Gateway, GatewayPayment } from '../../src/gateways/gateway.ts';
import { Razorpay } from '../../src/gateways/razorpay.ts';
import type { Charge } from '../../src/gateways/sandbox/objects.ts';
import { Stripe } from '../../src/gateways/stripe.ts';
import { sandboxWorld } from './sandbox-world.ts';

/** Far longer than the sandbox takes, far shorter than it holds a request that it does not answer. */
const REQUEST_MS = 400;

export async function openStage() {
  const world = await sandboxWorld();
  afterAll(() => world.stop());
  const gateways: Record<GatewayName, Gateway> = {
    stripe: stripeAt(world.urls.stripe),
    razorpay: razorpayAt(world.urls.razorpay),
  };
  return {
    ...world,
    gateways,
    set: (settings: object) => world.control('PATCH', '/settings', settings),
    chargesOf: (name: GatewayName, paymentId: string) =>
      world.control<Charge[]>('GET', `/objects/${name}/charge?payment_id=${paymentId}`),
  };
}

export function stripeAt(baseUrl: string, secretKey = 'sk_test_stage', now?: () => number): Stripe {
  return new Stripe({ baseUrl, secretKey, timeoutMs: REQUEST_MS }, now);
}

export function razorpayAt(baseUrl: string, keyId = 'rzp_test_stage'): Razorpay {
  return new Razorpay({
    ...{ baseUrl, keyId, keySecret: 'stage', timeoutMs: REQUEST_MS },
    ...{ email: 'payments@shop.example', contact: '+919900000000' },
  });
}

/** Stripe as it is when the first call of a kind meets a failure of Stripe's own: the 500 is saved
 * for the key, and given again. */
export function failingOnce(stripeUrl: string, path = '/v1/refunds'): string {
  const saved = new Set<string>();
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    reusePort: false,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      const key = headers.get('idempotency-key') ?? '';
      const broken = (more = {}) => Response.json({ error: {} }, { status: 500, headers: more });
      if (saved.has(key)) return broken({ 'Idempotent-Replayed': 'true' });
      if (pathname.startsWith(path) && method === 'POST' && saved.size === 0) {
        saved.add(key);
        return broken();
      }
      const body = method === 'POST' ? await request.text() : null;
      return await fetch(`${stripeUrl}${pathname}${search}`, { method, headers, body });
    },
  });
  afterAll(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

export const signal = new AbortController().signal;

export function chargeOf(token: string, more: Partial<ChargeRequest> = {}): ChargeRequest {
  const paymentId = `pay_${Bun.randomUUIDv7()}`;
  const attempt = more.attempt ?? 1;
  return {
    ...{ paymentId, attempt, key: `${paymentId}:charge:${attempt}` },
    ...{ amount: 4_999, currency: 'INR', capture: 'automatic' },
    ...{ method: { type: 'card', token }, customerId: 'c_1', orderId: null },
    ...{ askedAt: new Date(), first: more.again !== true, again: false },
    ...more,
  };
}

/** The payment of a charge, as it is captured, cancelled or refunded. */
export function paymentOf(
  { paymentId, attempt, currency, amount }: ChargeRequest,
  reference: string,
  more: Partial<GatewayPayment> = {},
): GatewayPayment {
  return { paymentId, attempt, currency, amount, reference, again: false, keysSpent: 0, ...more };
}
