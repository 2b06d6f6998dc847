// A worker in this process for coupon tests, so that a test can stop it and start another.
import { rules } from '../../consumers/index.ts';
import { topics } from '../../schemas/events.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { blockingClient, producerClient, redisReady } from '../../src/io/redis.ts';
import { Appender } from '../../src/stream/append.ts';
import { PARTITIONS, offsetKey, settledKey } from '../../src/stream/topology.ts';
import { startWorker } from '../../src/worker.ts';
import type { Stack } from '../stack.ts';
import type { Desk } from './desk.ts';

export interface Ledger {
  stop(): Promise<void>;
}

export async function startLedger({ redisUrl, sql }: Stack): Promise<Ledger> {
  const redis = producerClient(redisUrl, 'ledger');
  const blocking = blockingClient(redisUrl, 'ledger-blocking');
  await Promise.all([redisReady(redis), redisReady(blocking)]);
  const worker = await startWorker(
    {
      redis,
      blocking,
      sql,
      appender: new Appender(redis, { bytesWaitingMax: 1e8, entryEventsMax: 1_000 }),
      metrics: new Metrics(),
      log: createLog('ledger', 'fatal'),
      rules,
      onSuperseded: () => {},
    },
    {
      name: 'ledger',
      instance: crypto.randomUUID(),
      batchEventsMax: 2_000,
      leaseMs: 1_500,
      leaseRenewMs: 400,
      balanceCacheTtlS: 60,
      topics,
      deferralsMax: 5,
      drainMs: 2_000,
    },
  );
  return {
    async stop() {
      await worker.stop();
      redis.disconnect();
      blocking.disconnect();
    },
  };
}

/** Resolves when the ledger has every coupon event appended so far. */
export async function caughtUp({ redis }: Desk, timeoutMs = 10_000): Promise<void> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const appended = await redis.mget(partitions.map((n) => offsetKey('coupons', n)));
    const settled = await redis.mget(partitions.map((n) => settledKey('coupons', n)));
    if (partitions.every((n) => Number(settled[n] ?? 0) >= Number(appended[n] ?? 0))) return;
    if (Date.now() > deadline) throw new Error('the ledger did not catch up');
    await Bun.sleep(20);
  }
}
