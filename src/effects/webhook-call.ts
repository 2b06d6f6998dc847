// One request to an address that a tenant has named. The name is resolved here, every address it
// has is checked, and the connection goes to one that was: asking again could give another answer.
// Invariants: no private address is connected to unless the operator has allowed its network; no
// redirect is followed; nothing of an answer is kept but its status.
import { type RequestOptions, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { DeliveryError } from '../../schemas/webhook-endpoints.ts';
import { type Network, addressKind } from '../io/private-address.ts';

export interface WebhookCall {
  url: string;
  body: string;
  headers: Readonly<Record<string, string>>;
}

export interface CallOptions {
  allowed: readonly Network[];
  timeoutMs: number;
  /** Certificates that are trusted beside the usual ones. */
  ca?: string;
  /** Of a name: all its addresses. The resolver of the machine when left out. */
  addressesOf?: (name: string) => Promise<string[]>;
}

export interface CallResult {
  statusCode: number | null;
  error: DeliveryError | null;
  /** What the receiver asks us to wait. */
  retryAfterMs: number | null;
}

class Undeliverable extends Error {
  constructor(readonly reason: DeliveryError) {
    super(reason);
  }
}

const RETRY_AFTER_MS_MAX = 3_600_000;

/** Never throws for what the receiver, or the way to it, does. */
export async function callWebhook(
  call: WebhookCall,
  options: CallOptions,
  signal: AbortSignal,
): Promise<CallResult> {
  const ending = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
  try {
    const url = new URL(call.url);
    const address = await untilAborted(checkedAddress(url, options), ending);
    return await send(call, url, address, options, ending);
  } catch (error) {
    const reason = ending.aborted ? 'timed_out' : reasonOf(error);
    return { statusCode: null, error: reason, retryAfterMs: null };
  }
}

async function checkedAddress(url: URL, options: CallOptions): Promise<string> {
  const name = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(name) ? [name] : await (options.addressesOf ?? everyAddress)(name);
  const kinds = addresses.map((address) => addressKind(address, options.allowed));
  // A name that is half public is refused whole: an honest one has no such half.
  if (kinds.includes('refused')) throw new Undeliverable('address_refused');
  if (url.protocol !== 'https:' && !kinds.every((kind) => kind === 'named'))
    throw new Undeliverable('address_refused');
  const [first] = addresses;
  if (first === undefined) throw new Undeliverable('address_unknown');
  return first;
}

/** By c-ares, which keeps no thread waiting: names that nobody answers for hold up no other. */
async function everyAddress(name: string): Promise<string[]> {
  const found = await Bun.dns.lookup(name, { backend: 'c-ares' }).catch(() => {
    throw new Undeliverable('address_unknown');
  });
  return found.map(({ address }) => address);
}

function send(
  { body, headers }: WebhookCall,
  url: URL,
  address: string,
  { ca }: CallOptions,
  signal: AbortSignal,
): Promise<CallResult> {
  const options: RequestOptions & { ca?: string } = {
    method: 'POST',
    headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
    // The certificate is still that of the name.
    lookup: pinned(address),
    agent: false,
    signal,
    ...(ca !== undefined && { ca }),
  };
  return new Promise((resolve, reject) => {
    const open = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = open(url, options, (response) => {
      response.on('error', () => {});
      const { statusCode = 0, headers: said } = response;
      resolve({
        statusCode,
        error: errorOf(statusCode),
        retryAfterMs: patienceOf(said['retry-after']),
      });
      // Whatever it says, for however long: nobody reads it.
      response.destroy();
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** In place of a resolver: the one address that was checked. */
function pinned(address: string): NonNullable<RequestOptions['lookup']> {
  const family = isIP(address);
  return (_name, options, done) => {
    if (options.all === true) done(null, [{ address, family }]);
    else done(null, address, family);
  };
}

function errorOf(statusCode: number): DeliveryError | null {
  if (statusCode >= 200 && statusCode < 300) return null;
  if (statusCode >= 300 && statusCode < 400) return 'redirected';
  return statusCode === 410 ? 'gone' : 'bad_status';
}

function patienceOf(retryAfter: string | undefined): number | null {
  const seconds = Number(retryAfter);
  return seconds > 0 ? Math.min(seconds * 1_000, RETRY_AFTER_MS_MAX) : null;
}

function reasonOf(error: unknown): DeliveryError {
  if (error instanceof Undeliverable) return error.reason;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /CERT|SSL|TLS/.test(code) ? 'certificate_refused' : 'connection_failed';
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
