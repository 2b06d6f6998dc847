// The one request of a delivery: to an address that was checked, over TLS for the name it goes to,
// within its time, following nothing and keeping nothing.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type CallOptions, callWebhook } from '../../src/effects/webhook-call.ts';
import { networksOf } from '../../src/io/private-address.ts';
import { certificate as ca, key } from './certificate.ts';

let requests: { host: string; path: string; body: string }[] = [];
const answers: Record<string, () => Response | Promise<Response>> = {
  '/ok': () => new Response('ok', { status: 201 }),
  '/moved': () => Response.redirect('/ok'),
  '/gone': () => new Response('', { status: 410 }),
  '/later': () => new Response('', { status: 503, headers: { 'retry-after': '120' } }),
  '/never': () => new Promise<Response>(() => {}),
  '/endless': () =>
    new Response(
      new ReadableStream({
        async pull(stream) {
          stream.enqueue(new Uint8Array(65_536));
          await Bun.sleep(1);
        },
      }),
    ),
};
async function serve(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const host = request.headers.get('host') ?? '';
  requests.push({ host, path: pathname, body: await request.text() });
  return answers[pathname]!();
}
const plain = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: serve });
const secure = Bun.serve({
  ...{ port: 0, hostname: '127.0.0.1', fetch: serve },
  tls: { key, cert: ca },
});

beforeAll(() => {
  requests = [];
});
afterAll(async () => {
  await Promise.all([plain.stop(true), secure.stop(true)]);
});

const loopback = networksOf('127.0.0.0/8')!;
const signal = new AbortController().signal;

function call(url: string, options: Partial<CallOptions> = {}) {
  requests = [];
  const message = { url, body: '{"a":1}', headers: { 'content-type': 'application/json' } };
  return callWebhook(message, { allowed: loopback, timeoutMs: 5_000, ...options }, signal);
}

const http = (path: string): string => `http://127.0.0.1:${plain.port}${path}`;
const https = (name: string): string => `https://${name}:${secure.port}/ok`;
const toLoopback = () => Promise.resolve(['127.0.0.1']);

describe('what comes back', () => {
  test.each([
    ['/ok', 201, null, null],
    ['/moved', 302, 'redirected', null],
    ['/gone', 410, 'gone', null],
    ['/later', 503, 'bad_status', 120_000],
    ['/endless', 200, null, null],
  ] as const)('%s', async (path, statusCode, error, retryAfterMs) => {
    expect(await call(http(path))).toEqual({ statusCode, error, retryAfterMs });
    expect(requests).toEqual([{ host: `127.0.0.1:${plain.port}`, path, body: '{"a":1}' }]);
  });

  test('no answer within the time', async () => {
    const result = await call(http('/never'), { timeoutMs: 200 });
    expect(result).toEqual({ statusCode: null, error: 'timed_out', retryAfterMs: null });
  });

  test('nobody listens', async () => {
    expect((await call('http://127.0.0.1:1/')).error).toBe('connection_failed');
  });

  test('a resolver that says nothing', async () => {
    const silent = { timeoutMs: 200, addressesOf: () => new Promise<string[]>(() => {}) };
    expect((await call(https('hooks.example'), silent)).error).toBe('timed_out');
    const nobody = { addressesOf: () => Promise.resolve([]) };
    expect((await call(https('hooks.example'), nobody)).error).toBe('address_unknown');
  });
});

describe('where it goes', () => {
  test('an address of ours is never asked, literally or by name', async () => {
    const spellings = ['127.0.0.1', '127.1', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]'];
    for (const host of [...spellings, 'localhost']) {
      const result = await call(`https://${host}:${secure.port}/ok`, { allowed: [], ca });
      expect([host, result.error]).toEqual([host, 'address_refused']);
      expect(requests).toEqual([]);
    }
  });

  test('a name that is public and private is refused whole', async () => {
    const both = () => Promise.resolve(['93.184.215.14', '127.0.0.1']);
    const result = await call(https('hooks.example'), { allowed: [], ca, addressesOf: both });
    expect(result.error).toBe('address_refused');
    expect(requests).toEqual([]);
  });

  test('the name is asked for once, and the connection goes where it said', async () => {
    let asked = 0;
    // The second answer would be another: an address that nobody has checked.
    const addressesOf = () => Promise.resolve([asked++ === 0 ? '127.0.0.1' : '127.0.0.2']);
    expect(await call(https('hooks.example'), { ca, addressesOf })).toMatchObject({ error: null });
    expect(asked).toBe(1);
    expect(requests).toMatchObject([{ host: `hooks.example:${secure.port}` }]);
  });

  test('the certificate must be of the name, and known', async () => {
    const other = await call(https('other.example'), { ca, addressesOf: toLoopback });
    expect(other.error).toBe('certificate_refused');
    const unknown = await call(https('hooks.example'), { addressesOf: toLoopback });
    expect(unknown.error).toBe('certificate_refused');
    expect(requests).toEqual([]);
  });

  test('http goes to networks that were named, and to no other', async () => {
    const elsewhere = { addressesOf: () => Promise.resolve(['93.184.215.14']) };
    expect((await call('http://hooks.example/', elsewhere)).error).toBe('address_refused');
    const named = await call(`http://hooks.example:${plain.port}/ok`, { addressesOf: toLoopback });
    expect(named.error).toBeNull();
  });

  test('a redirect is not followed', async () => {
    await call(http('/moved'));
    expect(requests.map(({ path }) => path)).toEqual(['/moved']);
  });
});
