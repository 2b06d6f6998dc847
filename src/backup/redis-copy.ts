// Takes a snapshot of Redis the way a replica does (SYNC): one moment of all keys, without a path
// to the server's disk.
// Invariant: gives every byte that the server announced, or rejects.
import { type Socket, connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ArchiveError } from './archive.ts';

const SILENCE_MS = 60_000;

/** The bytes of an RDB file. */
export async function* redisSnapshot(url: string): AsyncGenerator<Buffer> {
  const { protocol, hostname, port, username, password } = new URL(url);
  const to = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
  const socket =
    protocol === 'rediss:' ? connectTls({ ...to, servername: hostname }) : connectPlain(to);
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('Redis fell silent')));
  const user = username ? [decodeURIComponent(username)] : [];
  const words = [
    ...(password ? [command('AUTH', ...user, decodeURIComponent(password))] : []),
    command('SYNC'),
  ];
  try {
    // One after the other: a snapshot is refused to whom an answer is still owed.
    socket.write(words.shift()!);
    yield* snapshotFrom(socket, () => socket.write(words.shift()!));
  } finally {
    socket.destroy();
  }
}

/** `onOk`: called at an answer before the snapshot is announced, as `$<bytes>`. */
async function* snapshotFrom(socket: Socket, onOk: () => void): AsyncGenerator<Buffer> {
  let head = Buffer.alloc(0);
  let left: number | null = null;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let bytes = chunk;
    while (left === null) {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf('\n');
      if (end < 0) break;
      left = announcedBy(head.subarray(0, end).toString().trim(), onOk);
      bytes = head.subarray(end + 1);
      head = Buffer.alloc(0);
    }
    if (left === null) continue;
    const part = bytes.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
    if (left === 0) return;
  }
  throw new ArchiveError('Redis ended the connection before its snapshot was whole');
}

/** The size of the snapshot; null for any line before it. While it is made, they are empty. */
function announcedBy(line: string, onOk: () => void): number | null {
  if (/^\$\d+$/.test(line)) return Number(line.slice(1));
  if (line === '+OK') onOk();
  else if (line !== '')
    throw new ArchiveError(`Redis does not give a snapshot: ${line.replace(/^-/, '')}`);
  return null;
}

function command(...words: string[]): string {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join('')}`;
}
