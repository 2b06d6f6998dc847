// What a request says before its meaning is looked at: id, trace, address, type, path and query.
// Invariant: nothing a caller can send makes any of this throw.
import { hasIssuedNumber } from './issued-numbers.ts';
import { type Problem, problem } from './problem.ts';

const visibleAscii = /^[\x21-\x7e]{1,128}$/;
const traceparentForm = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

// Unique without a random draw per request: a draw per process, then a count.
const processMark = crypto.randomUUID().replaceAll('-', '').slice(0, 16);
let requestCount = 0;

/** The caller's X-Request-Id when it is usable, else one of ours: it is logged. */
export function requestIdOf(headers: Headers): string {
  const given = headers.get('x-request-id');
  if (given !== null && visibleAscii.test(given) && !hasIssuedNumber(given)) return given;
  requestCount++;
  return `req_${processMark}${requestCount.toString(36).padStart(8, '0')}`;
}

/** A header that is not a valid W3C traceparent is as good as none. */
export function traceparentOf(headers: Headers): string | undefined {
  const given = headers.get('traceparent');
  if (given === null || !traceparentForm.test(given) || given.startsWith('ff')) return undefined;
  return given;
}

/** The address that `hops` trusted proxies saw; the socket's when there is none. */
export function addressOf(headers: Headers, socketAddress: string, hops: number): string {
  if (hops === 0) return socketAddress;
  const chain = headers.get('x-forwarded-for')?.split(',') ?? [];
  return chain.at(-hops)?.trim() || socketAddress;
}

export function mediaTypeOf(headers: Headers): string {
  const given = headers.get('content-type');
  if (given === null || given === 'application/json') return given ?? '';
  const end = given.indexOf(';');
  return (end < 0 ? given : given.slice(0, end)).trim().toLowerCase();
}

/** Null when the type is accepted. Compressed bodies are not. */
export function refusedType(headers: Headers, accepted: readonly string[]): Problem | null {
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity')
    return problem(415, 'unsupported_media_type', 'Content-Encoding is not supported here.');
  if (accepted.includes(mediaTypeOf(headers))) return null;
  return problem(415, 'unsupported_media_type', `Send Content-Type: ${accepted.join(' or ')}.`, {
    headers: { Accept: accepted.join(', ') },
  });
}

/** Of a request whose Host is none, Bun gives the target alone, which `new URL` would not take. */
export function pathOf(url: string): string {
  const start = url.startsWith('/') ? 0 : url.indexOf('/', url.indexOf('://') + 3);
  const end = url.indexOf('?', start);
  return url.slice(start, end < 0 ? url.length : end);
}

/** A repeated parameter is refused: which one is meant cannot be known. */
export function queryOf(url: string): Record<string, string> | Problem {
  const start = url.indexOf('?');
  if (start < 0) return {};
  // Without a prototype, or a parameter named __proto__ would vanish instead of being refused.
  const query = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(url.slice(start + 1))) {
    if (Object.hasOwn(query, name))
      return problem(400, 'malformed_request', 'A query parameter is given twice.');
    query[name] = value;
  }
  return query;
}
