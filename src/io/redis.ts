// Redis clients by role. The defaults of ioredis resend commands after a reconnect, which would
// append an event twice or hang a caller, so every role states its own behaviour.
import { Redis, type RedisOptions } from 'ioredis';
import { type ReplicaOptions, requireReplicas } from './replicas.ts';
import { completeTracing } from './tracing.ts';

completeTracing();

const base = {
  protocol: 2,
  // CLIENT SETINFO exists from Redis 7.2 on; asking an older server for it only logs errors.
  disableClientInfo: true,
  autoResendUnfulfilledCommands: false,
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000),
} satisfies RedisOptions;

/** Fails fast: a command sent while Redis is away rejects at once. A timeout means "unknown". */
export function producerClient(url: string, name: string): Redis {
  return quiet(
    new Redis(url, {
      ...base,
      connectionName: name,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: 2_000,
      socketTimeout: 5_000,
    }),
  );
}

/** For what must outlive Redis. It is a connection of its own only where replicas are waited for:
 * others must not wait with it. */
export function writingClient(
  producer: Redis,
  url: string,
  name: string,
  options: ReplicaOptions,
): Redis {
  if (options.redisReplicasMin === 0) return producer;
  const writer = producerClient(url, `${name}-writer`);
  requireReplicas(writer, options);
  return writer;
}

/** For blocking reads: its own connection, with a client-side deadline above BLOCK. */
export function blockingClient(url: string, name: string): Redis {
  return quiet(
    new Redis(url, {
      ...base,
      connectionName: name,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: 10_000,
      // Far above BLOCK: a connection that is silent for so long is dead, and would stay so.
      socketTimeout: 5_000,
    }),
  );
}

/** For SUBSCRIBE: re-subscribes by itself after a reconnect (missed messages are polled for). */
export function subscriberClient(url: string, name: string): Redis {
  return quiet(
    new Redis(url, {
      ...base,
      connectionName: name,
      autoResubscribe: true,
      maxRetriesPerRequest: 0,
    }),
  );
}

/** Resolves when the client can take commands; rejects after `timeoutMs`. */
export async function redisReady(client: Redis, timeoutMs = 5_000): Promise<void> {
  if (client.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      client.off('ready', done);
      reject(new Error(`Redis did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    client.once('ready', done);
  });
}

/** A client for one action, and no longer. Rejects when Redis is not ready in time. */
export async function withRedis<T>(
  url: string,
  name: string,
  action: (client: Redis) => Promise<T>,
  readyWithinMs?: number,
): Promise<T> {
  const client = producerClient(url, name);
  try {
    await redisReady(client, readyWithinMs);
    return await action(client);
  } finally {
    client.disconnect();
  }
}

/** Redis has reached its `maxmemory`: it takes nothing more, and still gives and forgets. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('OOM ');
}

/** Without a listener, ioredis prints every connection error; callers see rejections instead. */
function quiet(client: Redis): Redis {
  client.on('error', () => {});
  return client;
}
