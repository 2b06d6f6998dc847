// Requests that are broken, ambiguous or forged, each with what it is to be answered.
import { type Part, type Target, chunk, eventText, events, eventsHead, head } from './raw.ts';

/** What it is, the bytes, the status, the code of the problem; without one the server answers
 * before anything of ours has seen the request. */
export type Case = readonly [says: string, parts: Part[], status: number, code?: string];

export const CHUNKED = 'Transfer-Encoding: chunked\r\n';
export const LAST_CHUNK = '0\r\n\r\n';

/** What the cases are made with. */
export function partsFor(target: Target) {
  return {
    post: (headers: string, rest: string): Part[] => [eventsHead(target, headers) + rest],
    whole: (body: Part): Part[] => [events(target, body)],
    line: (request: string, headers = ''): Part[] => [head(target, request, headers)],
    coupon(code: string, metadata: string): Part[] {
      const body = `{"kind":"percent","percent_bp":1,"metadata":{${metadata}}}`;
      const headers = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
      return [head(target, `PUT /v1/coupons/${code} HTTP/1.1`, headers) + body];
    },
  };
}

/** Which of two lengths a proxy before us believed cannot be known: that is how requests are
 * smuggled. The parser is Bun's; this holds it to it. */
export function framingCases(target: Target): Case[] {
  const { post, line } = partsFor(target);
  const coded = (coding: string): Part[] => post(`Transfer-Encoding: ${coding}\r\n`, LAST_CHUNK);
  const long = (length: string): Part[] => post(`Content-Length: ${length}\r\n`, '{}');
  return [
    ['a length and chunks', post(`Content-Length: 5\r\n${CHUNKED}`, LAST_CHUNK), 400],
    ['two lengths that differ', long('2\r\nContent-Length: 30'), 400],
    ['an empty length before another', long('\r\nContent-Length: 2'), 400],
    ['a list of lengths', long('2, 2'), 400],
    ['a signed length', long('+2'), 400],
    ['a negative length', long('-1'), 400],
    ['a length in another base', long('0x2'), 400],
    ['a length past any number', long('9'.repeat(30)), 400],
    ['a space before the colon', post('Transfer-Encoding : chunked\r\n', LAST_CHUNK), 400],
    ['a coding that is none', coded('xchunked'), 400],
    ['chunks twice', coded('chunked, chunked'), 400],
    ['compressed chunks', coded('gzip, chunked'), 400],
    ['two codings', coded('chunked\r\nTransfer-Encoding: identity'), 400],
    ['a chunk whose size is no number', post(CHUNKED, 'zz\r\n{}\r\n0\r\n\r\n'), 400],
    ['a chunk past any number', post(CHUNKED, `${'f'.repeat(17)}\r\n{}\r\n`), 400],
    ['a folded header', line('GET /livez HTTP/1.1', 'X-A: b\r\n c\r\n'), 400],
    ['NUL in a header', line('GET /livez HTTP/1.1', 'X-A: b\0c\r\n'), 400],
    ['no Host', ['GET /livez HTTP/1.1\r\n\r\n'], 400],
    ['HTTP/2', line('GET /livez HTTP/2.0'), 505],
    ['20 KB of headers', line('GET /livez HTTP/1.1', `X-A: ${'a'.repeat(20_000)}\r\n`), 431],
    ['300 headers', line('GET /livez HTTP/1.1', 'X-A: b\r\n'.repeat(300)), 431],
    ['20 KB of address', line(`GET /livez?${'a'.repeat(20_000)} HTTP/1.1`), 431],
    ['a method that Bun does not know', line('FOO /v1/events HTTP/1.1'), 0],
  ];
}

export function bodyCases(target: Target): Case[] {
  const { whole } = partsFor(target);
  const amounts = (status: number, code: string, ...written: string[]): Case[] =>
    written.map((amount) => [
      `an amount written ${amount.slice(0, 30)}`,
      whole(eventText('number', amount)),
      status,
      code,
    ]);
  const zipped = Buffer.from(Bun.gzipSync(new Uint8Array(2 ** 20)));
  const notUtf8 = Buffer.from(eventText('utf8', '1', 'cut\u{1f600}off'));
  notUtf8[notUtf8.indexOf(0xf0) + 3] = 0x20;
  const members = Array.from({ length: 1e5 }, (_, n) => `"k${n}":1`).join();
  const poison = eventText('proto').replace('"kind"', '"__proto__":{"a":1},"kind"');
  return [
    ['bytes that are not UTF-8', whole(notUtf8), 400, 'malformed_json'],
    [
      'the same in chunks',
      [eventsHead(target, CHUNKED), chunk(notUtf8), LAST_CHUNK],
      400,
      'malformed_json',
    ],
    ...amounts(422, 'invalid_request', '1.0000000000000001', '12.0', '0.0', '1.50e1', '10.0'),
    ...amounts(422, 'invalid_request', '10e-1', '10000000000000001E-16'),
    ...amounts(422, 'invalid_request', '12.5', '15e-1', '1e400', '9'.repeat(20_000)),
    ...amounts(422, 'invalid_request', '9007199254740992'),
    ['gzip', [events(target, zipped, 'Content-Encoding: gzip\r\n')], 415, 'unsupported_media_type'],
    [
      'objects 100,000 deep',
      whole(`${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}`),
      422,
      'invalid_request',
    ],
    ['arrays 1,000,000 deep that do not end', whole('['.repeat(1e6)), 400, 'malformed_json'],
    ['100,000 members', whole(`{${members}}`), 422, 'invalid_request'],
    ['a text of 4,000,000', whole(`{"id":"${'x'.repeat(4e6)}"}`), 422, 'invalid_request'],
    ['what poisons prototypes', whole(poison), 422, 'invalid_request'],
  ];
}

export function addressCases(target: Target): Case[] {
  const { line } = partsFor(target);
  const noHost = 'GET /nothing HTTP/1.1\r\nHost: a b{}\r\n\r\n';
  return [
    ['a Host that is none', [noHost], 404, 'not_found'],
    ['CONNECT', line('CONNECT example.com:80 HTTP/1.1'), 404, 'not_found'],
    ['TRACE', line('TRACE /v1/events HTTP/1.1'), 405, 'method_not_allowed'],
    ['a method of others', line('PROPFIND /v1/events HTTP/1.1'), 405, 'method_not_allowed'],
    ['HEAD where there is no GET', line('HEAD /v1/events HTTP/1.1'), 405],
    [
      'a path that is no text',
      line('GET /v1/accounts/%ff%fe/balance HTTP/1.1'),
      422,
      'invalid_request',
    ],
  ];
}
