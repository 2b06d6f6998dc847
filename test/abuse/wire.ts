// HTTP by hand, one connection a request: what `fetch` would put right, such as a path of dots or
// two Authorization headers, is sent here as it is.
// Invariant: an answer is whole, or the promise rejects; nothing waits for ever.
import { connect } from 'node:net';

export interface WireRequest {
  method: string;
  /** As it goes into the request line. */
  target: string;
  headers: readonly (readonly [string, string])[];
  body: string;
}

export interface WireReply {
  status: number;
  headers: Headers;
  text: string;
  /** The whole answer, header lines included. */
  raw: string;
}

const ANSWER_WITHIN_MS = 15_000;

export function send(url: string, request: WireRequest): Promise<WireReply> {
  const { method, target, headers, body } = request;
  const { host } = new URL(url);
  const bytes = Buffer.byteLength(body);
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...(headers.some(([name]) => name.toLowerCase() === 'host') ? [] : [`Host: ${host}`]),
    'Connection: close',
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(body === '' ? [] : [`Content-Length: ${bytes}`]),
  ];
  return sendText(url, `${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** The text as it is; the server is to close the connection. */
export async function sendText(url: string, text: string): Promise<WireReply> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  const socket = connect({ host: hostname, port: Number(port) });
  const timer = setTimeout(() => socket.destroy(new Error('not answered')), ANSWER_WITHIN_MS);
  socket.on('connect', () => socket.write(text));
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('end', () => socket.end());
  socket.on('error', reject);
  socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
  try {
    return parsed(await promise);
  } finally {
    clearTimeout(timer);
  }
}

function parsed(raw: string): WireReply {
  const [head = '', ...rest] = raw.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  if (!(status >= 100)) throw new Error(`no answer: ${JSON.stringify(raw.slice(0, 200))}`);
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { status, headers, text: rest.join('\r\n\r\n'), raw };
}
