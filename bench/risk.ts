// What judging a payment costs: CPU of the ingress, of Redis and of Postgres for each, and how long
// it takes, with customers that Redis knows the past of and with new ones.
// `npm run bench -- risk [--times 20000] [--together 32]`
import { statSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { createLog } from '../src/io/log.ts';
import { Metrics } from '../src/io/metrics.ts';
import { producerClient, redisReady } from '../src/io/redis.ts';
import { type RiskDesk, openRiskDesk } from '../src/risk/desk.ts';
import { openServices } from '../test/services.ts';
import { readOptions } from './lib/arguments.ts';
import { markdownTable } from './lib/goals.ts';
import { Histogram } from './lib/histogram.ts';
import { describeMachine, machineText, usageOf } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';

const CUSTOMERS = 2_000;
/** Of the issue: a payment is judged within 5 ms. */
const GOAL_MS = 5;

interface Asked {
  desk: RiskDesk;
  tenant: number;
  redisPid: number;
  times: number;
  together: number;
}

export async function riskBench(args: readonly string[]): Promise<number> {
  const { times, together } = readOptions(args, { times: 20_000, together: 32 });
  const stack = await openServices('bench');
  const redis = producerClient(stack.redisUrl, 'bench');
  await redisReady(redis);
  const log = createLog('bench', 'silent');
  const desk = await openRiskDesk({ redis, sql: stack.sql, metrics: new Metrics(), log });
  try {
    const { id: tenant } = await stack.createTenant('bench');
    const asked: Asked = { desk, tenant, redisPid: stack.redisPid, times, together };
    const logFile = `${stack.home}/redis`;
    await measure({ ...asked, times: CUSTOMERS }, 'warm-up', known);
    const before = logBytes(logFile);
    const rows = [
      await measure(asked, 'known customers', known),
      await measure(asked, 'new customers', (n) => `new_${n}`),
      await measure({ ...asked, together: 1 }, 'known, one after another', known),
    ];
    const logged = (logBytes(logFile) - before) / (rows.length * times);
    return await report(rows, logged, await scriptUs(redis));
  } finally {
    await desk.stop();
    redis.disconnect();
    await stack.close();
  }
}

const known = (n: number): string => `c_${n % CUSTOMERS}`;

async function measure(
  { desk, tenant, redisPid, times, together }: Asked,
  what: string,
  customerOf: (n: number) => string,
) {
  const histogram = new Histogram();
  const cpu = (): readonly [number, number] => {
    const { user, system } = process.cpuUsage();
    return [(user + system) / 1e6, usageOf(redisPid).cpuSeconds];
  };
  const [ingressBefore, redisBefore] = cpu();
  let next = 0;
  async function judge(): Promise<void> {
    for (let n = next++; n < times; n = next++) {
      const startMs = performance.now();
      await desk.assess(tenant, `pay_${Bun.randomUUIDv7()}`, {
        ip: `198.51.100.${n % 250}`,
        body: {
          amount: { amount: 1_000 + (n % 500), currency: 'USD' },
          customer_id: customerOf(n),
          device_id: `d_${customerOf(n)}`,
          method: { type: 'card', token: `tok_${customerOf(n)}` },
        },
      });
      histogram.record(performance.now() - startMs);
    }
  }
  await Promise.all(Array.from({ length: together }, judge));
  const [ingress, redis] = cpu();
  const { p50Ms, p95Ms, p99Ms } = histogram.summary();
  return {
    ...{ what, together, p50Ms, p95Ms, p99Ms },
    ingressUs: ((ingress - ingressBefore) / times) * 1e6,
    redisUs: ((redis - redisBefore) / times) * 1e6,
  };
}

/** What one run of the script takes within Redis, without reading, logging and answering. */
async function scriptUs(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats');
  return Number(/cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(stats)?.[1]);
}

/** What Redis has written to its log, in whichever of its files. */
function logBytes(dir: string): number {
  const files = [...new Bun.Glob('**/*.{aof,incr.aof}').scanSync({ cwd: dir })];
  return files.reduce((sum, file) => sum + statSync(`${dir}/${file}`).size, 0);
}

async function report(
  rows: readonly Awaited<ReturnType<typeof measure>>[],
  loggedBytes: number,
  scriptUs: number,
): Promise<number> {
  const head = ['payments of', 'at once', 'p50', 'p95', 'p99', 'CPU of the ingress', 'of Redis'];
  const cells = rows.map(({ what, together, p50Ms, p95Ms, p99Ms, ingressUs, redisUs }) => [
    ...[what, String(together)],
    ...[p50Ms, p95Ms, p99Ms].map((ms) => `${ms.toFixed(2)} ms`),
    ...[ingressUs, redisUs].map((us) => `${us.toFixed(0)} µs`),
  ]);
  const machine = describeMachine();
  const [us, bytes] = [scriptUs, loggedBytes].map((each) => each.toFixed(0));
  const logged = `In Redis the script takes ${us} µs, and logs ${bytes} bytes.`;
  const text = `${markdownTable(head, cells)}\n\n${logged}\n\n${machineText(machine)}\n`;
  await saveJson('risk', { machine, rows, loggedBytes, scriptUs });
  console.log(`${text}\nsaved in ${await saveText('risk.md', text)}`);
  const slowest = Math.max(...rows.map(({ p99Ms }) => p99Ms));
  if (slowest >= GOAL_MS) console.log(`p99 ${slowest.toFixed(1)} ms is not within ${GOAL_MS} ms`);
  return 0;
}
