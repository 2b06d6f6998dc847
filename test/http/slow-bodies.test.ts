// A body that drips is given up: it would hold a place that others wait for.
import { expect, test } from 'bun:test';
import { connect } from 'node:net';
import { openDoor } from './door.ts';

const door = await openDoor('slow_bodies');

/** Sends the head and a part of the body, and gives what the server answers. */
function drip(head: string, part: string): Promise<string> {
  const { hostname, port } = new URL(door.url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(head + part));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (answer.includes('\r\n\r\n{')) {
        socket.destroy();
        resolve(answer);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

const head = `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${door.key}\r\n`;
const type = 'Content-Type: application/json\r\n';

test('with a Content-Length or in chunks, a body that does not come is answered 408', async () => {
  const answers = await Promise.all([
    drip(`${head}${type}Content-Length: 500\r\n\r\n`, '{"id":'),
    drip(`${head}${type}Transfer-Encoding: chunked\r\n\r\n`, '6\r\n{"id":\r\n'),
  ]);
  for (const answer of answers) {
    expect(answer).toStartWith('HTTP/1.1 408');
    expect(answer).toContain('"code":"request_timeout"');
  }
  expect((await door.call('GET', '/readyz')).status).toBe(200);
}, 30_000);
