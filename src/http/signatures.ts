// The signatures under webhooks that gateways send us, checked as each gateway specifies them.
// Invariant: over the bytes as they came; every secret and every signature is compared, in a time
// that does not depend on which of them fits, or where they differ.
import { timingSafeEqual } from 'node:crypto';

/** How old a signed time may be, so that what was overheard cannot be sent again for long. */
export const TOLERANCE_S = 300;
/** During a rotation there are two; more than this nobody sends in good faith. */
const SIGNATURES_MAX = 16;
const HEADER_LENGTH_MAX = 4_096;
const HEX = /^[0-9a-f]{64}$/;
const SECONDS = /^[1-9]\d{0,11}$/;

/**
 * `t=<seconds>,v1=<hex>[,v1=<hex>…][,<other scheme>=…]` over `<t>.<body>`. Several headers of the
 * name reach us as one, joined by commas.
 */
export function isSignedByStripe(
  body: Uint8Array,
  header: string | null,
  secrets: readonly string[],
  nowMs: number,
): boolean {
  if (header === null || header.length > HEADER_LENGTH_MAX) return false;
  let time: string | null = null;
  const signatures: string[] = [];
  for (const part of header.split(',')) {
    const [name, value = ''] = part.trim().split('=', 2);
    if (name === 't') time = value;
    else if (name === 'v1') signatures.push(value);
  }
  if (time === null || !SECONDS.test(time)) return false;
  // As the official clients: a clock of ours that is behind refuses nothing.
  if (Math.floor(nowMs / 1_000) - Number(time) > TOLERANCE_S) return false;
  return isAnySigned([`${time}.`, body], signatures, secrets);
}

/** Hex over the body alone; it has no time, so an old one holds for ever. */
export function isSignedByRazorpay(
  body: Uint8Array,
  header: string | null,
  secrets: readonly string[],
): boolean {
  return header !== null && isAnySigned([body], [header.trim()], secrets);
}

function isAnySigned(
  signed: readonly (string | Uint8Array)[],
  signatures: readonly string[],
  secrets: readonly string[],
): boolean {
  const given = signatures.filter((text) => HEX.test(text)).slice(0, SIGNATURES_MAX);
  const bytes = given.map((text) => Buffer.from(text, 'hex'));
  let fits = 0;
  for (const secret of secrets) {
    const hmac = new Bun.CryptoHasher('sha256', secret);
    for (const part of signed) hmac.update(part);
    const expected = hmac.digest();
    for (const signature of bytes) fits += Number(timingSafeEqual(expected, signature));
  }
  return fits > 0;
}
