// Requests as bytes over sockets of our own: what clients that are broken or hostile send.
import { type Socket, connect } from 'node:net';

export interface RawAnswer {
  /** 0 when the connection ended without an answer. */
  status: number;
  head: string;
  body: string;
  closed: boolean;
}

export type Part = string | Buffer;

export interface Target {
  url: string;
  key: string;
}

export function open({ url }: Target): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.once('error', reject);
    // Later errors end the connection, which is what callers look at.
    socket.on('error', () => {});
  });
}

/** Sends the parts one after the other; resolves with the first final answer, or the end. */
export async function raw(target: Target, ...parts: Part[]): Promise<RawAnswer> {
  const socket = await open(target);
  const answer = answered(socket, String(parts[0]).startsWith('HEAD '));
  for (const part of parts) {
    if (socket.destroyed) break;
    socket.write(part);
    await Bun.sleep(5);
  }
  return answer.finally(() => socket.destroy());
}

/** The next answer that is no "100 Continue". `bare`: a head that speaks of a body and has none. */
export function answered(socket: Socket, bare = false): Promise<RawAnswer> {
  let text = '';
  return new Promise((resolve) => {
    const done = (closed: boolean): void => {
      const end = text.indexOf('\r\n\r\n');
      const head = end < 0 ? text : text.slice(0, end);
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
      resolve({ status, head, body: end < 0 ? '' : text.slice(end + 4), closed });
    };
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      text = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
      if (isWhole(text, bare)) done(false);
    });
    socket.on('close', () => done(true));
  });
}

function isWhole(text: string, bare: boolean): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  return end >= 0 && (bare || text.length >= end + 4 + Number(length ?? 0));
}

export function head(target: Target, line: string, headers = ''): string {
  const authorization = `Authorization: Bearer ${target.key}\r\n`;
  return `${line}\r\nHost: ${new URL(target.url).host}\r\n${authorization}${headers}\r\n`;
}

const JSON_TYPE = 'Content-Type: application/json\r\n';

/** A POST of events with a true Content-Length. */
export function events(target: Target, body: Part, headers = ''): Buffer {
  const length = `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  const start = head(target, 'POST /v1/events HTTP/1.1', JSON_TYPE + headers + length);
  return Buffer.concat([Buffer.from(start), Buffer.from(body)]);
}

/** The same without a length; the body follows in chunks. */
export function eventsHead(target: Target, headers: string): string {
  return head(target, 'POST /v1/events HTTP/1.1', JSON_TYPE + headers);
}

export function chunk(bytes: Part): Buffer {
  const size = `${Buffer.byteLength(bytes).toString(16)}\r\n`;
  return Buffer.concat([Buffer.from(size), Buffer.from(bytes), Buffer.from('\r\n')]);
}

/** An event as JSON; `amount` is put in as it is written. */
export function eventText(id: string, amount = '1', reference = 'r'): string {
  return (
    `{"id":"${id}","type":"earning.credited","data":{"user_id":"u_1","kind":"bonus",` +
    `"reference":"${reference}","amount":{"amount":${amount},"currency":"USD"}}}`
  );
}

/** Megabytes that the process holds now, and held at most. */
export async function memoryOf(pid: number): Promise<{ nowMb: number; peakMb: number }> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1_024;
  return { nowMb: field('VmRSS'), peakMb: field('VmHWM') };
}
