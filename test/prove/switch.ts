// An address that leads to one server until it is led to another: what a virtual address or a
// sentinel is to clients when a Redis fails over. It can also be frozen, as a link that is cut
// without a word.
import { type Socket, connect, createServer } from 'node:net';

export interface Switch {
  url: string;
  /** Cuts every connection; from now on they lead there. */
  leadTo(url: string): void;
  /** Bytes stop where they are, in both directions; connections stay open. */
  freeze(): void;
  thaw(): void;
  close(): void;
}

export async function openSwitch(to: string): Promise<Switch> {
  let target = new URL(to);
  let frozen = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const [near, far] = [client, upstream];
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk) => near.write(chunk));
    if (frozen) for (const socket of [near, far]) socket.pause();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(to);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    leadTo(next) {
      target = new URL(next);
      cutAll();
    },
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    close() {
      cutAll();
      server.close();
    },
  };
}
