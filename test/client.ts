// A plain client of the HTTP API for tests: JSON in, status, body and headers out.

export interface Reply<Body = Record<string, unknown>> {
  status: number;
  body: Body;
  headers: Headers;
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
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const json = answer.headers.get('content-type')?.includes('json');
    return {
      status: answer.status,
      body: (json ? JSON.parse(text) : { text }) as Body,
      headers: answer.headers,
    };
  }
}
