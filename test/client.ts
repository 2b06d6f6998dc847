// A plain client of the HTTP API for tests: JSON in, status, body and headers out.

export interface Reply<Body = Record<string, unknown>> {
  status: number;
  body: Body;
  headers: Headers;
}

/** What `fetch` takes for a call of the API. */
export function requestOf(
  key: string,
  method: string,
  body?: unknown,
  headers: Record<string, string> = {},
): RequestInit {
  const authorization = `Bearer ${key}`;
  if (body === undefined) return { method, headers: { authorization, ...headers } };
  return {
    method,
    headers: { authorization, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  };
}

export class Client {
  constructor(
    readonly url: string,
    readonly key: string,
  ) {}

  get<Body = Record<string, unknown>>(path: string): Promise<Reply<Body>> {
    return this.send<Body>('GET', path);
  }

  post<Body = Record<string, unknown>>(
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply<Body>> {
    return this.send<Body>('POST', path, body, headers);
  }

  put<Body = Record<string, unknown>>(path: string, body: unknown): Promise<Reply<Body>> {
    return this.send<Body>('PUT', path, body);
  }

  async send<Body>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply<Body>> {
    const init = requestOf(this.key, method, body, headers);
    const answer = await fetch(`${this.url}${path}`, init);
    const text = await answer.text();
    const json = answer.headers.get('content-type')?.includes('json');
    return {
      status: answer.status,
      body: (json ? JSON.parse(text) : { text }) as Body,
      headers: answer.headers,
    };
  }
}
