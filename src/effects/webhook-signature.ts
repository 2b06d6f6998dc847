// Signatures of webhooks to tenants, after Standard Webhooks 1.0: HMAC-SHA256 over id, time and
// body, one for each secret that is valid, so that a receiver may know either of them.
import { createHmac } from 'node:crypto';

export interface SignedMessage {
  id: string;
  /** Seconds since the epoch: of this attempt, so that receivers can refuse what was recorded. */
  timestampS: number;
  body: string;
}

export function webhookHeaders(
  { id, timestampS, body }: SignedMessage,
  secrets: readonly string[],
): Record<string, string> {
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    const mac = createHmac('sha256', key).update(`${id}.${timestampS}.${body}`).digest('base64');
    return `v1,${mac}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampS),
    'webhook-signature': signatures.join(' '),
  };
}
