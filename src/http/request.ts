// What a request says before its meaning is looked at: its id, trace, address, type and bytes.
// Invariant: no more than the allowed number of bytes is ever held of a body.
import { type Problem, problem } from './problem.ts';

const visibleAscii = /^[\x21-\x7e]{1,128}$/;
const traceparentForm = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

// Unique without a random draw per request: a draw per process, then a count.
const processMark = crypto.randomUUID().replaceAll('-', '').slice(0, 16);
let requestCount = 0;

/** The caller's X-Request-Id when it is usable, else one of ours. */
export function requestIdOf(headers: Headers): string {
  const given = headers.get('x-request-id');
  if (given !== null && visibleAscii.test(given)) return given;
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
  if (encoding !== null && encoding !== 'identity')
    return problem(415, 'unsupported_media_type', 'Content-Encoding is not supported here.');
  if (accepted.includes(mediaTypeOf(headers))) return null;
  return problem(415, 'unsupported_media_type', `Send Content-Type: ${accepted.join(' or ')}.`, {
    headers: { Accept: accepted.join(', ') },
  });
}

export function tooLarge(bytesMax: number): Problem {
  return problem(413, 'body_too_large', `At most ${bytesMax} bytes are taken here.`);
}

/** Looks at Content-Length only, so that a large body is refused before any of it is read. */
export function refusedLength(headers: Headers, bytesMax: number): Problem | null {
  const length = headers.get('content-length');
  return length !== null && Number(length) > bytesMax ? tooLarge(bytesMax) : null;
}

/** The body as text. With a Content-Length the server holds the client to it; a chunked one is
 * counted as it comes. */
export function readText(request: Request, bytesMax: number): Promise<string | Problem> {
  if (request.headers.has('content-length')) return request.text();
  return readChunks(request, bytesMax);
}

async function readChunks(request: Request, bytesMax: number): Promise<string | Problem> {
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const BODY_MS_MAX = 10_000;
const SWEEP_MS = 1_000;

/** Requests whose body is on its way. One that drips holds a place that others wait for, so it is
 * given up after about ten seconds. One timer for all: a timer each would cost more than most
 * requests wait. */
export class Readings<Reader extends { startedAt: number }> {
  private readonly open = new Set<Reader>();

  constructor(giveUp: (reader: Reader) => void) {
    setInterval(() => {
      const oldest = performance.now() - BODY_MS_MAX;
      for (const reader of this.open) if (reader.startedAt < oldest) giveUp(reader);
    }, SWEEP_MS).unref();
  }

  begin(reader: Reader): void {
    this.open.add(reader);
  }

  end(reader: Reader): void {
    this.open.delete(reader);
  }
}

export function tooSlow(): Problem {
  return problem(408, 'request_timeout', 'The body did not arrive in time.', {
    headers: { Connection: 'close' },
  });
}

/** A repeated parameter is refused: which one is meant cannot be known. */
export function queryOf(url: string): Record<string, string> | Problem {
  const start = url.indexOf('?');
  if (start < 0) return {};
  const query: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(url.slice(start + 1))) {
    if (Object.hasOwn(query, name))
      return problem(400, 'malformed_request', 'A query parameter is given twice.');
    query[name] = value;
  }
  return query;
}
