// Requests that are broken, ambiguous or forged, sent to a real process: each has one answer, none
// has an effect that its sender could not mean, and the process goes on.
import { describe, expect, test } from 'bun:test';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { CHUNKED, LAST_CHUNK, addressCases, bodyCases, framingCases, partsFor } from './cases.ts';
import {
  type Part,
  type RawAnswer,
  chunk,
  eventText,
  events,
  eventsHead,
  open,
  raw,
} from './raw.ts';

const stack = await openStack('requests');
const tenant = await stack.createTenant('requests');
const ingress = await stack.startIngress();
const target = { url: ingress.url, key: tenant.key };
const { post, whole, line, coupon } = partsFor(target);

function codeOf({ body }: RawAnswer): string | undefined {
  return /"code":"(\w+)"/.exec(body)?.[1];
}

for (const [what, cases] of Object.entries({
  framing: framingCases(target),
  body: bodyCases(target),
  address: addressCases(target),
}))
  describe(`refused for its ${what}`, () => {
    for (const [says, parts, status, code] of cases)
      test(says, async () => {
        const answer = await raw(target, ...parts);
        expect([answer.status, codeOf(answer)]).toEqual([status, code]);
      });
  });

describe('taken', () => {
  const taken: Record<string, Part[]> = {
    'a length said twice': post(
      `Content-Length: ${eventText('twice').length}\r\n`.repeat(2),
      eventText('twice'),
    ),
    chunks: [
      eventsHead(target, CHUNKED),
      chunk(eventText('chunks').slice(0, 9)),
      chunk(eventText('chunks').slice(9)),
      LAST_CHUNK,
    ],
    'what it asks leave for': [
      eventsHead(
        target,
        `Expect: 100-continue\r\nContent-Length: ${eventText('leave').length}\r\n`,
      ),
      eventText('leave'),
    ],
    'HTTP/1.0': [events(target, eventText('old')).toString().replace('HTTP/1.1', 'HTTP/1.0')],
    'an identity that shouts': [
      events(target, eventText('shouts'), 'Content-Encoding: IDENTITY\r\n'),
    ],
    'an exponent of a whole number': whole(eventText('exponent', '1e2')),
    'a byte order mark': whole(`\ufeff${eventText('mark')}`),
    'dots in texts': whole(eventText('dots', '1', 'at12:00:10.123Z:1.0,\\"2.0\\",-3.0,1e-0')),
    'a fraction where fractions may be': coupon('FRACTION', '"a":-1.25'),
    'the replacement character, as an escape': coupon('ESCAPE', '"a":"\\ufffd"'),
  };
  for (const [says, parts] of Object.entries(taken))
    test(says, async () => {
      const { status, body } = await raw(target, ...parts);
      expect([Math.floor(status / 100), body]).toEqual([
        2,
        expect.not.stringContaining('rejected'),
      ]);
    });

  test('the address in full', async () => {
    const answer = await raw(target, ...line('GET http://elsewhere.example/livez HTTP/1.1'));
    expect(answer.status).toBe(200);
  });

  test('HEAD wherever GET is, without the body', async () => {
    const get = await raw(target, ...line('GET /livez HTTP/1.1'));
    const answer = await raw(target, ...line('HEAD /livez HTTP/1.1'));
    expect([answer.status, answer.body]).toEqual([200, '']);
    expect(answer.head).toContain('application/json');
    expect(get.body).not.toBe('');
  });
});

test('of a member given twice the last counts, for what is checked and what is done', async () => {
  const twice = eventText('last', '1').replace('"amount":1', '"amount":"x","amount":7');
  expect((await raw(target, ...whole(twice))).status).toBe(202);
  const first = eventText('first', '1').replace('"amount":1', '"amount":7,"amount":"x"');
  expect((await raw(target, ...whole(first))).status).toBe(422);
});

test('who goes away in the middle of a body is nobody’s failure', async () => {
  const parts = [
    [eventsHead(target, 'Content-Length: 500\r\n'), '{"id":'],
    [eventsHead(target, 'Content-Length: 100000\r\n'), '{"id":'],
    [eventsHead(target, CHUNKED), chunk('{"id":')],
  ];
  const before = ingress.output().length;
  for (const sent of parts) {
    const socket = await open(target);
    for (const part of sent) socket.write(part);
    await Bun.sleep(50);
    socket.destroy();
  }
  const metrics = await eventually('they are counted', async () => {
    const text = await (await fetch(`${target.url}/metrics`)).text();
    return /body_bytes_reading\{[^}]*\} 0/.test(text) && text;
  });
  expect(metrics).not.toMatch(/status="500"/);
  expect(ingress.output().slice(before)).not.toContain('request failed');
});
