// What others have sent us, as it may be shown: without secrets, tokens and what looks like a card
// number. What is kept is left as it is.
// Invariant: whatever is behind a name that speaks of a secret is gone, objects and lists too.
import { hasCardNumber } from './card-numbers.ts';

export const REDACTED = '[redacted]';

/** `vpa` is the token of a UPI payment; Stripe's tokens stand behind `payment_method` and `source`. */
const secretName =
  /secret|token|password|authorization|signature|fingerprint|cvc|cvv|^vpa$|payment_method$|^source$/i;

export function redacted(value: unknown): unknown {
  if (typeof value === 'string') return hasCardNumber(value) ? REDACTED : value;
  if (typeof value === 'number') return hasCardNumber(String(value)) ? REDACTED : value;
  if (Array.isArray(value)) return value.map(redacted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const shown = hasCardNumber(name) ? REDACTED : name;
      return [shown, isSecret(name, inner) ? REDACTED : redacted(inner)];
    }),
  );
}

/** Nothing is no secret, and its absence may be what somebody looks for. */
function isSecret(name: string, value: unknown): boolean {
  return secretName.test(name) && value !== null && typeof value !== 'boolean';
}
