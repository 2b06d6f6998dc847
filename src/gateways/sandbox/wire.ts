// What a wire is to the sandbox's server: a function from a request to an answer, without waiting.
// Routes are a table; `:name` in a path takes one segment.

export interface WireRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
}

export interface WireAnswer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
  /** An error that is an outcome, such as a decline: what was done stays done. */
  outcome?: true;
}

/** Whether what an answer tells of has happened; else all that its request changed is undone. */
export const stays = ({ status, outcome }: WireAnswer): boolean => status < 400 || outcome === true;

export interface Wire {
  handle(request: WireRequest): WireAnswer;
  /** Names the request among those under way and in answers that are kept; null where it has none. */
  idempotencyKey(request: WireRequest): string | null;
  /** Answers to trouble that the settings ask for. */
  busy(): WireAnswer;
  broken(): WireAnswer;
  rateLimited(): WireAnswer;
  unavailable(): WireAnswer;
}

export type Handler<Call> = (call: Call) => unknown;
export type Routes<Call> = readonly (readonly [string, string, Handler<Call>])[];

export interface Matched<Call> {
  run: Handler<Call>;
  params: Record<string, string>;
}

/** The first route that fits. */
export function matched<Call>(
  routes: Routes<Call>,
  method: string,
  path: string,
): Matched<Call> | null {
  const given = path.split('/');
  for (const [verb, pattern, run] of routes) {
    const parts = pattern.split('/');
    if (verb !== method || parts.length !== given.length) continue;
    const params: Record<string, string> = {};
    const fits = parts.every((part, index) => {
      const segment = given[index]!;
      if (!part.startsWith(':')) return part === segment;
      params[part.slice(1)] = segment;
      return segment !== '';
    });
    if (fits) return { run, params };
  }
  return null;
}

export function header(request: WireRequest, name: string): string | null {
  const value = request.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** User and password of HTTP Basic, or the token of Bearer as the user. */
export function credentials(request: WireRequest): { user: string; password: string } | null {
  const [scheme, rest = ''] = (header(request, 'authorization') ?? '').split(' ');
  if (scheme?.toLowerCase() === 'bearer') return { user: rest, password: '' };
  if (scheme?.toLowerCase() !== 'basic') return null;
  const text = Buffer.from(rest, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0
    ? { user: text, password: '' }
    : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

export const seconds = (ms: number): number => Math.floor(ms / 1_000);
