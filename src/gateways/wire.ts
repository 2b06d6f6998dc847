// One request to a gateway over HTTP: sent once, within a time, never followed elsewhere.
// Invariant: it tells apart what was never sent, what was turned away, what the gateway answered in
// its own words, and what nobody knows; and no error carries a secret or what was sent.
import { GatewayBusy, GatewayKeySpent, GatewayUnreachable } from './gateway.ts';

export interface WireOptions {
  /** Without a slash at its end. */
  baseUrl: string;
  headers: Readonly<Record<string, string>>;
  timeoutMs: number;
}

export interface WireRequest {
  method: 'GET' | 'POST' | 'PATCH';
  path: string;
  body?: string;
  headers?: Readonly<Record<string, string>>;
}

export interface WireAnswer {
  status: number;
  /** Of an error: with `error`, an object. */
  body: Readonly<Record<string, unknown>>;
}

export type Send = (request: WireRequest, signal: AbortSignal) => Promise<WireAnswer>;

/** No connection was made, so the gateway cannot have heard of it. */
const neverSent: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH'];

const BUSY_MS = 1_000;
const BUSY_MS_MAX = 60_000;

export function wire({ baseUrl, headers, timeoutMs }: WireOptions): Send {
  return async ({ method, path, body, headers: more }, signal) => {
    // A process that was frozen learns first that its time is over: somebody else may be at it.
    await Bun.sleep(0);
    signal.throwIfAborted();
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: { ...headers, ...more },
      body: body ?? null,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    }).catch((error: unknown) => {
      throw notAnswered(error);
    });
    const { status } = response;
    const text = await response.text();
    if (status === 429) throw new GatewayBusy(patienceOf(response.headers));
    if (status >= 500) throw brokenBy(status, response.headers);
    const answer = objectOf(text);
    // A proxy in between, or an address that is not the gateway's: nobody has said anything.
    if (!answer || (status !== 200 && typeof answer['error'] !== 'object'))
      throw new Error(`${status}, and not in the gateway's words`);
    return { status, body: answer };
  };
}

function notAnswered(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (neverSent.includes(code)) return new GatewayUnreachable(`no connection: ${code}`);
  const name = error instanceof Error ? error.name : 'error';
  return new Error(name === 'TimeoutError' ? 'no answer in time' : `no answer: ${code || name}`);
}

/** Stripe gives a saved 500 again and again for a key. */
function brokenBy(status: number, headers: Headers): Error {
  const said = `the gateway answered ${status}`;
  const isOld = headers.get('idempotent-replayed') === 'true';
  return isOld ? new GatewayKeySpent(`${said}, as before`) : new Error(said);
}

function patienceOf(headers: Headers): number {
  const seconds = Number(headers.get('retry-after'));
  return seconds > 0 ? Math.min(seconds * 1_000, BUSY_MS_MAX) : BUSY_MS;
}

function objectOf(text: string): WireAnswer['body'] | null {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body } : null;
  } catch {
    return null;
  }
}

/** `{a: {b: 1}}` as `a[b]=1`, the form that Stripe reads. */
export function formOf(fields: object): string {
  const form = new URLSearchParams();
  const add = (name: string, value: unknown): void => {
    if (value === undefined || value === null) return;
    if (typeof value !== 'object') form.append(name, String(value as string | number | boolean));
    else for (const [key, inner] of Object.entries(value)) add(`${name}[${key}]`, inner);
  };
  for (const [name, value] of Object.entries(fields)) add(name, value);
  return form.toString();
}
