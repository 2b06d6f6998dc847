// The signatures under webhooks, as each gateway makes them over the raw body.
import type { GatewayName } from '../../../schemas/payments.ts';
import type { Told } from './objects.ts';
import { seconds } from './wire.ts';

const hmac = (secret: string, text: string): string =>
  new Bun.CryptoHasher('sha256', secret).update(text).digest('hex');

const headersOf: Record<
  GatewayName,
  (told: Told, secrets: readonly string[], nowMs: number) => Record<string, string>
> = {
  /** One v1 for each secret: during a rotation both are valid. */
  stripe({ body }, secrets, nowMs) {
    const t = seconds(nowMs);
    const signatures = secrets.map((secret) => `v1=${hmac(secret, `${t}.${body}`)}`);
    return {
      'content-type': 'application/json; charset=utf-8',
      'stripe-signature': [`t=${t}`, ...signatures].join(','),
      'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
    };
  },
  razorpay({ id, body }, secrets) {
    return {
      'content-type': 'application/json',
      'user-agent': 'Razorpay-Webhook/v1',
      'x-razorpay-event-id': id,
      'x-razorpay-signature': hmac(secrets[0]!, body),
    };
  },
};

export function webhookHeaders(
  told: Told,
  secrets: readonly string[],
  nowMs: number,
): Record<string, string> {
  return headersOf[told.gateway](told, secrets, nowMs);
}
