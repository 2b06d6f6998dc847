// What one turn of the event loop asks of a Redis client goes out as one write to the socket.
// Sent one by one, commands cost a system call each on both sides, and Redis, which syncs its log
// once for all that it finds waiting, a sync each.
// Invariant: each call is answered as if it had been sent alone.
import type { Redis } from 'ioredis';

export type Argument = string | number | Buffer;

interface Call {
  command: string;
  args: readonly Argument[];
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

const waiting = new WeakMap<Redis, Call[]>();

/** `command` is one of Redis or one that was defined on the client. */
export function sendTogether(
  redis: Redis,
  command: string,
  args: readonly Argument[],
): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  let calls = waiting.get(redis);
  if (!calls) waiting.set(redis, (calls = []));
  if (calls.push({ command, args, resolve, reject }) === 1)
    setImmediate(() => void send(redis, calls.splice(0)));
  return promise;
}

async function send(redis: Redis, calls: readonly Call[]): Promise<void> {
  const pipeline = redis.pipeline();
  const commands = pipeline as unknown as Record<string, (...args: Argument[]) => unknown>;
  for (const { command, args } of calls) commands[command]!(...args);
  try {
    const replies = (await pipeline.exec()) ?? [];
    calls.forEach(({ resolve, reject }, index) => {
      const [error, reply] = replies[index]!;
      if (error) reject(error);
      else resolve(reply);
    });
  } catch (error) {
    for (const { reject } of calls) reject(error);
  }
}
