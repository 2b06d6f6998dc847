// P1: payments initiated over HTTP, judged for risk and accepted onto their stream, one ingress and
// no worker, against the same micro-batched appends behind a bare Elysia: as fast as the machine
// gives, and at the 10,000 a second of the target, where latency counts from the intended start.
import { openServices } from '../test/services.ts';
import type { Goal } from './lib/goals.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, measureHttp, startBare, withProduct } from './lib/servers.ts';

const CUSTOMERS = 100_000;
/** An answer waits for Redis to have synced, so it takes many to keep all busy. */
const CONNECTIONS = 512;
const TARGET_PER_SECOND = 10_000;
const BELOW_MS = 200;

const shared = { keys: CUSTOMERS, batch: 1, connections: CONNECTIONS, expectedStatuses: [202] };
const inTime: Goal = { row: 'P1', figure: 'p95Ms', below: BELOW_MS };

/** `--rate` asks for another rate than the target's, alone. */
export function paymentsBench({ seconds, rate }: BenchOptions): Comparison[] {
  const load: Load = { ...shared, name: 'payment', seconds };
  if (rate !== null) return [paced('payments-given', load, rate)];
  const closed: Comparison = {
    name: 'payments',
    goals: [{ row: 'P1', figure: 'perSecond', atLeast: TARGET_PER_SECOND }, inTime],
    unit: 'payments/s',
    subject: () => measure(load),
    limit: () => measureBare({ ...load, name: 'ingest' }),
  };
  return [closed, paced('payments-paced', load, TARGET_PER_SECOND)];
}

function paced(name: string, load: Load, rate: number): Comparison {
  return {
    name,
    target: `${rate.toLocaleString('en')} payments/s offered`,
    // An open loop that falls behind has not had the rate that it is about.
    goals: [{ row: 'P1', figure: 'perSecond', atLeast: rate * 0.99 }, inTime],
    unit: 'payments/s',
    subject: () => measure({ ...load, rate }),
  };
}

function measure(load: Load): Promise<Measurement> {
  return withProduct({}, ({ server, watched }) => measureHttp(server, load, watched));
}

async function measureBare(load: Load): Promise<Measurement> {
  const stack = await openServices('bench');
  try {
    const bare = await startBare('bare-ingest.ts', stack.redisUrl);
    return await measureHttp(bare, load, { redis: stack.redisPid }).finally(() => bare.stop());
  } finally {
    await stack.close();
  }
}
