// A tenant's receiver of webhooks: a real server on loopback, which verifies as the official
// library of Standard Webhooks does, answers as it is told, and keeps what came.
import { Webhook } from 'standardwebhooks';

export interface Received {
  id: string;
  headers: Record<string, string>;
  text: string;
  body: {
    type: string;
    subject: string;
    sequence: number;
    timestamp: string;
    version: number;
    data: Record<string, unknown>;
  };
}

export interface Receiver {
  url: string;
  received: Received[];
  /** What the next requests are answered with. */
  answer: (received: Received) => Response | Promise<Response>;
  stop(): Promise<void>;
}

export function startReceiver(): Receiver {
  const receiver: Receiver = {
    url: '',
    received: [],
    answer: () => new Response('thanks'),
    stop: () => server.stop(true),
  };
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 60,
    async fetch(request) {
      const text = await request.text();
      const headers = Object.fromEntries(request.headers);
      const id = headers['webhook-id'] ?? '';
      const got = { id, headers, text, body: JSON.parse(text) as Received['body'] };
      receiver.received.push(got);
      return receiver.answer(got);
    },
  });
  receiver.url = `http://127.0.0.1:${server.port}/hook`;
  return receiver;
}

/** Throws where the library would. */
export function verify({ text, headers }: Received, secret: string): unknown {
  return new Webhook(secret).verify(text, headers);
}
