// Ours: one ingress and one worker, as `tallyrace up` starts them.
import { openServices } from '../../test/services.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { allSettled } from '../lib/progress.ts';
import type { Peer, Running } from './peer.ts';

const AFTER_COMMIT = 'events, answered after the commit';

const many = { hot: 512, spread: 512 };
const few = { hot: 32, spread: 32 };

export function tallyrace(version: string): Peer {
  return {
    name: 'Tallyrace',
    version,
    ways: [
      { name: 'single', batch: 1, connections: many, dialect: 'events', burstShare: 0.7 },
      { name: 'batches of 100', batch: 100, connections: few, dialect: 'events', burstShare: 0.25 },
      { name: 'single, wait=ledger', batch: 1, connections: many, dialect: AFTER_COMMIT },
      { name: 'batches of 100, wait=ledger', batch: 100, connections: few, dialect: AFTER_COMMIT },
    ],
    start,
  };
}

async function start(): Promise<Running> {
  const stack = await openServices('peers');
  try {
    const tenant = await stack.createTenant('peers');
    const ingress = await stack.startIngress({ NODE_ENV: 'production' });
    const worker = await stack.startWorker({ NODE_ENV: 'production' });
    const redis = producerClient(stack.redisUrl, 'bench');
    await redisReady(redis);
    const { redisPid, postgresPid } = stack;
    return {
      url: ingress.url,
      apiKey: tenant.key,
      pids: { ingress: ingress.pid, worker: worker.pid, redis: redisPid, postgres: postgresPid },
      entries: async () => {
        const [row] = await stack.owner`select count(*)::int as entries from entries`;
        return (row as { entries: number }).entries;
      },
      analyze: () => stack.owner`vacuum analyze`,
      settled: async () => {
        await allSettled(redis, 'events');
      },
      close: () => {
        redis.disconnect();
        return stack.close();
      },
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}
