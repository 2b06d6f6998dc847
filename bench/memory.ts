// Memory: `npm run bench -- memory [--part coupons|backlog|soak]`: an ingress with a million
// coupons, a worker that works off millions of events, and a whole stack under steady load.
import type { Redis } from 'ioredis';
import { progress } from '../src/cli/progress.ts';
import { producerClient, redisReady } from '../src/io/redis.ts';
import type { CouponTerms } from '../schemas/coupons.ts';
import { openServices } from '../test/services.ts';
import { UsageError, readOptions } from './lib/arguments.ts';
import { fill } from './lib/backlog.ts';
import { doubtsOfBooks } from './lib/committed.ts';
import { putCoupons } from './lib/coupons.ts';
import { earningSource, take } from './lib/earnings.ts';
import { type Judged, markdownTable, summaryMarkdown } from './lib/goals.ts';
import { describeMachine, treeUsageOf } from './lib/machine.ts';
import { allSettled, reached } from './lib/progress.ts';
import { Residents, type Trend, trendOf } from './lib/residents.ts';
import { saveJson, saveText } from './lib/results.ts';
import { type Load, type Product, measureHttp, withProduct } from './lib/servers.ts';
import { withTicker } from './lib/ticker.ts';
import { compare, printReport } from './lib/rounds.ts';
import { validateBench } from './validate.ts';

const USERS = 100_000;
const CODES = 100_000;
const TERMS: CouponTerms = { kind: 'percent', percent_bp: 1_000, status: 'active' };
const WORKER_MB = 400;
const SLOPE_MB_PER_MINUTE = 1;
/** After the load: what a collection gives back is given back by then. */
const IDLE_MS = 10_000;
const SHARES = [0.2, 0.4, 0.6, 0.8, 1];

const standard = { part: 'all', events: 5_000_000, minutes: 10, seconds: 5 };
type MemoryOptions = typeof standard;

interface Part {
  markdown: string;
  judged: Judged[];
  figures: object;
}

const parts: Record<string, (options: MemoryOptions) => Promise<Part>> = {
  coupons: couponsPart,
  backlog: backlogPart,
  soak: soakPart,
};

export async function memoryBench(args: readonly string[]): Promise<number> {
  const options = readOptions(args, standard);
  const names = options.part === 'all' ? Object.keys(parts) : [options.part];
  if (names.some((name) => !parts[name]))
    throw new UsageError(`--part is one of ${Object.keys(parts).join(', ')}`);
  const found: Record<string, Part> = {};
  for (const name of names) {
    console.log(`memory: ${name}`);
    found[name] = await parts[name]!(options);
    console.log(`\n${found[name].markdown}`);
  }
  const judged = Object.values(found).flatMap((part) => part.judged);
  const machine = describeMachine();
  const summary = summaryMarkdown(machine, judged);
  const texts = Object.values(found).map((part) => part.markdown);
  await saveJson('memory', { machine, options, found });
  console.log(
    `${summary}\nsaved in ${await saveText('memory.md', [...texts, summary].join('\n'))}`,
  );
  return 0;
}

/** As in the bench of checks, once. */
async function couponsPart({ seconds }: MemoryOptions): Promise<Part> {
  const million = validateBench({ seconds, rate: null, batch: 1 }).at(-1)!;
  const report = await compare(million, 1);
  printReport(report);
  const [server, limit] = [report.subject.rssMb['server']!, report.limit!.rssMb['server']!];
  const markdown =
    `An ingress with 1,000,000 coupons, under checks: peak ${mb(server)} MB ` +
    `(the bare server with a Map of as many codes: ${mb(limit)} MB).\n`;
  return { markdown, judged: report.judged, figures: report };
}

async function backlogPart({ events }: MemoryOptions): Promise<Part> {
  const stack = await openServices('bench');
  const redis = producerClient(stack.redisUrl, 'bench');
  try {
    await redisReady(redis);
    await stack.createTenant('bench');
    const bar = progress('filling the streams', events);
    await fill(redis, take(earningSource(USERS, 'm'), events), (count) => bar.add(count));
    bar.end();
    const redisMb = treeUsageOf(stack.redisPid).rssMb;
    const worker = await stack.startWorker({ NODE_ENV: 'production' });
    const residents = new Residents({ worker: worker.pid, redis: stack.redisPid });
    const rows = await workOff(events, redis, residents);
    await Bun.sleep(IDLE_MS);
    const { worker: settledMb } = residents.sample();
    residents.stop();
    const doubts = await doubtsOfBooks(stack);
    return backlogText({ events, rows, redisMb, settledMb: settledMb!, residents, doubts });
  } finally {
    redis.disconnect();
    await stack.close();
  }
}

interface BacklogRow {
  share: number;
  seconds: number;
  workerMb: number;
  redisMb: number;
}

async function workOff(events: number, redis: Redis, residents: Residents): Promise<BacklogRow[]> {
  const rows: BacklogRow[] = [];
  const bar = progress('working it off', events);
  let drawn = 0;
  for (const share of [0, ...SHARES]) {
    await reached(redis, 'events', share * events, (settled) => {
      bar.add(settled - drawn);
      drawn = settled;
    });
    const { worker, redis: streams } = residents.sample();
    rows.push({ share, seconds: residents.seconds, workerMb: worker!, redisMb: streams! });
  }
  bar.end();
  return rows;
}

function backlogText(found: {
  events: number;
  rows: BacklogRow[];
  redisMb: number;
  settledMb: number;
  residents: Residents;
  doubts: string[];
}): Part {
  const { events, rows, redisMb, settledMb, residents, doubts } = found;
  const { peakMb } = trendOf(residents.series['worker']!);
  const table = markdownTable(
    ['settled', 'after s', 'worker MB', 'Redis MB'],
    rows.map(({ share, seconds, workerMb, redisMb: held }) => [
      `${share * 100} %`,
      seconds.toFixed(0),
      mb(workerMb),
      mb(held),
    ]),
  );
  const markdown =
    `A worker before ${events.toLocaleString('en')} events, which Redis holds in ` +
    `${mb(redisMb)} MB: peak ${mb(peakMb)} MB, ` +
    `${mb(settledMb)} MB ten seconds after the last.\n\n${table}` +
    doubts.map((doubt) => `\nDoubtful: ${doubt}\n`).join('');
  const judged = [
    {
      ...{ row: 'memory', bench: 'backlog', goal: `worker < ${WORKER_MB} MB` },
      ...{ figure: `${mb(peakMb)} MB`, met: peakMb < WORKER_MB && doubts.length === 0 },
    },
  ];
  return { markdown, judged, figures: { rows, series: residents.series, settledMb, doubts } };
}

function soakPart({ minutes, seconds }: MemoryOptions): Promise<Part> {
  return withProduct(
    { worker: true, prepare: (stack, tenant) => putCoupons(stack, tenant, CODES, TERMS) },
    (product) => soak(product, minutes, seconds),
  );
}

async function soak(product: Product, minutes: number, probeSeconds: number): Promise<Part> {
  const { server, watched } = product;
  const load: Load = {
    ...{ name: 'mixed', keys: CODES, batch: 1, connections: 128 },
    ...{ seconds: probeSeconds, expectedStatuses: [200, 201, 202] },
  };
  const capacity = (await measureHttp(server, load, watched)).perSecond;
  const rate = Math.round(capacity / 2);
  console.log(`capacity ${Math.round(capacity)} requests/s; ${rate} for ${minutes} minutes`);
  const residents = new Residents({ ingress: server.pid, ...watched });
  const steady = { ...load, rate, seconds: minutes * 60 };
  const loaded = await withTicker('soak', minutes * 60, () => measureHttp(server, steady, {}));
  const trends = Object.fromEntries(
    Object.entries(residents.series).map(([name, series]) => [name, trendOf(series)]),
  );
  await Bun.sleep(IDLE_MS);
  const settled = residents.sample();
  residents.stop();
  const doubts = [...(loaded.doubts ?? []), ...(await settledDoubts(product))];
  const figures = { capacity, rate, loaded, trends, settled, series: residents.series, doubts };
  const markdown =
    `${minutes} minutes of ${rate.toLocaleString('en')} requests/s (half of what a closed loop ` +
    `reaches; ten checks, five events, three redemptions, two balances of twenty), ` +
    `p99 ${loaded.p99Ms?.toFixed(1)} ms:\n\n${soakTable(trends, settled)}` +
    doubts.map((doubt) => `\nDoubtful: ${doubt}\n`).join('');
  return { markdown, judged: judgeSoak(trends), figures };
}

async function settledDoubts({ stack }: Product): Promise<string[]> {
  const redis = producerClient(stack.redisUrl, 'bench');
  try {
    await redisReady(redis);
    await allSettled(redis, 'events');
    await allSettled(redis, 'coupons');
    return await doubtsOfBooks(stack);
  } finally {
    redis.disconnect();
  }
}

function soakTable(trends: Record<string, Trend>, settled: Record<string, number>): string {
  return markdownTable(
    ['process', 'start MB', 'peak MB', 'end MB', 'MB/min, second half', '10 s idle MB'],
    Object.entries(trends).map(([name, trend]) => [
      name,
      ...[trend.startMb, trend.peakMb, trend.endMb].map(mb),
      trend.slopeMbPerMinute.toFixed(2),
      mb(settled[name]!),
    ]),
  );
}

/** Redis keeps what it must for an hour or a day, Postgres fills its buffers: ours are judged. */
function judgeSoak(trends: Record<string, Trend>): Judged[] {
  return ['ingress', 'worker'].map((name) => {
    const { slopeMbPerMinute } = trends[name]!;
    return {
      ...{ row: 'memory', bench: `soak, ${name}`, goal: `growth < ${SLOPE_MB_PER_MINUTE} MB/min` },
      figure: `${slopeMbPerMinute.toFixed(2)} MB/min`,
      met: slopeMbPerMinute < SLOPE_MB_PER_MINUTE,
    };
  });
}

function mb(value: number): string {
  return value.toFixed(0);
}
