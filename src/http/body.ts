// The body of a request, from its first byte to what it says.
// Invariants: no more than the allowed number of bytes is held of one body, nor of all together;
// what is read as JSON is what was written, to the last digit and byte.
import { Problem, problem, unavailable } from './problem.ts';
import { refusedFraction } from './whole-numbers.ts';

export function tooLarge(bytesMax: number): Problem {
  return problem(413, 'body_too_large', `At most ${bytesMax} bytes are taken here.`);
}

/** Looks at Content-Length only, so that a large body is refused before any of it is read. */
export function refusedLength(headers: Headers, bytesMax: number): Problem | null {
  const length = headers.get('content-length');
  return length !== null && Number(length) > bytesMax ? tooLarge(bytesMax) : null;
}

const BODY_MS_MAX = 10_000;
const SWEEP_MS = 1_000;
/** What a smaller body will take is counted when it begins. A larger one is counted as it comes:
 * announcing bytes and never sending them must cost nobody else their place. */
const ANNOUNCED_BYTES_MAX = 65_536;

// Like `text()` it leaves out a byte order mark.
const decoder = new TextDecoder();
const crowded = unavailable('overloaded', 'Too many bytes of bodies are on their way.');

/** Bytes held of bodies that are on their way, over all routes of a process. */
export class BodyBytes {
  held = 0;
  /** Bodies that were refused for want of room. */
  refused = 0;

  constructor(readonly max: number) {}

  /** False when there is no room. */
  take(bytes: number): boolean {
    if (this.held + bytes > this.max) {
      this.refused++;
      return false;
    }
    this.held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.held -= bytes;
  }
}

type Sent = string | Uint8Array;

interface Reader {
  request: Request;
  startedAt: number;
}

/** Requests whose body is on its way. One that drips holds a place that others wait for, so it is
 * given up after about ten seconds. One timer for all: a timer each would cost more than most
 * requests wait. */
export class Readings<Each extends Reader> {
  private readonly open = new Map<Each, number>();

  constructor(
    private readonly bytes: BodyBytes,
    giveUp: (reader: Each) => void,
  ) {
    setInterval(() => {
      const oldest = performance.now() - BODY_MS_MAX;
      for (const reader of this.open.keys()) if (reader.startedAt < oldest) giveUp(reader);
    }, SWEEP_MS).unref();
  }

  /** The body as text, or as the bytes that came; `end` must follow. The server holds the client to
   * its Content-Length. */
  begin(reader: Each, bytesMax: number, raw: boolean): Promise<Sent | Problem> | Problem {
    const { request } = reader;
    const length = request.headers.get('content-length');
    const announced = length === null ? ANNOUNCED_BYTES_MAX : Number(length);
    const isSmall = length !== null && announced <= ANNOUNCED_BYTES_MAX;
    if (!this.bytes.take(isSmall ? announced : 0)) return crowded;
    this.open.set(reader, isSmall ? announced : 0);
    if (!isSmall) return this.readChunks(request, bytesMax, raw);
    return raw ? request.bytes() : request.text();
  }

  end(reader: Each): void {
    const bytes = this.open.get(reader);
    if (bytes === undefined) return;
    this.open.delete(reader);
    this.bytes.give(bytes);
  }

  private async readChunks(
    { body }: Request,
    bytesMax: number,
    raw: boolean,
  ): Promise<Sent | Problem> {
    if (body === null) return raw ? new Uint8Array() : '';
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body) {
        if (bytes + chunk.byteLength > bytesMax) return tooLarge(bytesMax);
        if (!this.bytes.take(chunk.byteLength)) return crowded;
        bytes += chunk.byteLength;
        chunks.push(chunk);
      }
      const whole = Buffer.concat(chunks);
      return raw ? whole : decoder.decode(whole);
    } finally {
      this.bytes.give(bytes);
    }
  }
}

export function tooSlow(): Problem {
  return problem(408, 'request_timeout', 'The body did not arrive in time.', {
    headers: { Connection: 'close' },
  });
}

/** The client went away before it had sent all, or sent chunks that are none. Nobody hears it. */
export function cutOff(error: unknown): Problem | null {
  if (!(error instanceof DOMException) || error.name !== 'AbortError') return null;
  return problem(400, 'malformed_request', 'The body ended too early.');
}

/** What bytes that are not UTF-8 are read as. */
const REPLACEMENT = '\ufffd';

/** What the text says, or why that cannot be told. */
export function jsonOf(text: string): { json: unknown } | Problem {
  if (text.includes(REPLACEMENT))
    return problem(
      400,
      'malformed_json',
      'The body is not UTF-8. The character U+FFFD itself is written \\ufffd.',
    );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return problem(400, 'malformed_json', 'The body is not valid JSON.');
  }
  return refusedFraction(text) ?? { json };
}
