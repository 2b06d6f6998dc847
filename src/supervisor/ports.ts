// Ports of this machine. A free port is only free at the moment of asking: who starts a server on
// it must still cope with losing the race.
import { createServer } from 'node:net';

/** True when a server could listen there now. */
export function portIsFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

export function findFreePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port: 0, host, exclusive: true }, () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Below those that systems give to connections, among which a row is seldom whole. */
const ROWS = { from: 10_000, to: 32_000 };

/** The first of so many ports in a row, all free now: the wish, or else any. */
export async function findPortRow(count: number, wish = 0): Promise<number> {
  for (let port = wish; ; port = ROWS.from + Math.floor(Math.random() * (ROWS.to - ROWS.from)))
    if (port !== 0 && (await rowIsFree(port, count))) return port;
}

async function rowIsFree(port: number, count: number): Promise<boolean> {
  if (port + count > 65_536) return false;
  const row = Array.from({ length: count }, (_, index) => portIsFree(port + index));
  return (await Promise.all(row)).every(Boolean);
}
