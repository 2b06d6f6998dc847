// Overload (T10): what a whole stack does at and beyond its capacity. A closed loop finds the
// capacity, with the generator beside it; then an open loop offers shares of that.
// `npm run bench -- overload [--subject checks|events|redemptions|balances|mix] [--svg …]`
import type { CouponTerms } from '../schemas/coupons.ts';
import { openCounters } from '../test/coupons/sweep.ts';
import type { Stack } from '../test/services.ts';
import { UsageError, readOptions } from './lib/arguments.ts';
import { putCoupons } from './lib/coupons.ts';
import { curvesSvg } from './lib/curve-svg.ts';
import { type Curve, type Offer, type Step, takeStep } from './lib/curve.ts';
import { type Judged, markdownTable, summaryMarkdown } from './lib/goals.ts';
import { describeMachine } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';
import { type LoadedServer, withProduct } from './lib/servers.ts';
import { withTicker } from './lib/ticker.ts';

const CODES = 100_000;
const USERS = 100_000;
const TERMS: CouponTerms = { kind: 'percent', percent_bp: 1_000, status: 'active' };
const RSS_MB_MAX = 500;
const RECOVERY_MS_MAX = 5_000;
const BEFORE_SECONDS = 2;

interface Subject {
  workload: Offer['workload'];
  /** Enough to keep the server busy, and few enough that nothing waits long. */
  busyConnections: number;
}

const subjects: Record<string, Subject> = {
  checks: { workload: { name: 'validate', keys: CODES, batch: 1 }, busyConnections: 64 },
  events: { workload: { name: 'ingest', keys: USERS, batch: 1 }, busyConnections: 512 },
  redemptions: { workload: { name: 'redeem', keys: CODES, batch: 1 }, busyConnections: 512 },
  // Of accounts that are not in the cache at first: Postgres is asked too.
  balances: { workload: { name: 'balances', keys: USERS, batch: 1 }, busyConnections: 256 },
  mix: { workload: { name: 'mixed', keys: CODES, batch: 1 }, busyConnections: 512 },
};

/** The largest share lasts `last` seconds, the others `seconds`. */
const standard = {
  subject: 'all',
  shares: '50,80,100,200,500',
  seconds: 10,
  last: 60,
  connections: 8_000,
  svg: '',
};

export async function overloadBench(args: readonly string[]): Promise<number> {
  const options = readOptions(args, standard);
  const names = options.subject === 'all' ? Object.keys(subjects) : [options.subject];
  if (names.some((name) => !subjects[name]))
    throw new UsageError(`--subject is one of ${Object.keys(subjects).join(', ')}`);
  const curves: Curve[] = [];
  for (const name of names) {
    const curve = await measure(name, options);
    console.log(`\n${tableOf(curve)}`);
    curves.push(curve);
  }
  const machine = describeMachine();
  await saveJson('overload', { machine, options, curves });
  if (options.svg) await Bun.write(options.svg, curvesSvg(curves));
  const summary = summaryMarkdown(machine, curves.flatMap(judgedOf));
  const text = [...curves.map(tableOf), summary].join('\n');
  console.log(`${summary}\nsaved in ${await saveText('overload.md', text)}`);
  return 0;
}

function measure(name: string, options: typeof standard): Promise<Curve> {
  const { workload, busyConnections } = subjects[name]!;
  const shares = options.shares.split(',').map(Number);
  const closed = { workload, connections: busyConnections, rate: null };
  return withProduct({ worker: true, prepare }, async ({ server }) => {
    // Compiles the code and fills the caches.
    await takeStep(server, { ...closed, seconds: BEFORE_SECONDS });
    const capacity = (await takeStep(server, { ...closed, seconds: options.seconds })).good;
    const steps: Step[] = [];
    for (const share of shares) {
      const seconds = share === shares.at(-1) ? options.last : options.seconds;
      const rate = (capacity * share) / 100;
      const offer = { workload, connections: options.connections, seconds, rate };
      steps.push(await watched(`${name} at ${share} %`, server, offer, share));
    }
    return { name, capacity, steps };
  });
}

async function prepare(stack: Stack, tenant: number): Promise<void> {
  await putCoupons(stack, tenant, CODES, TERMS);
  await openCounters(stack);
}

function watched(what: string, server: LoadedServer, offer: Offer, share: number): Promise<Step> {
  return withTicker(what, offer.seconds, () => takeStep(server, offer, share));
}

function tableOf({ name, capacity, steps }: Curve): string {
  const rows = steps.map((step) => [
    `${step.share} %`,
    ...[step.offered, step.good, step.limited + step.unavailable, step.dropped].map(whole),
    ...[step.p50Ms, step.p95Ms, step.p99Ms, step.refusedP99Ms].map((ms) => ms.toFixed(1)),
    `${(step.recoveredMs / 1_000).toFixed(1)} s`,
    `${whole(step.rssMb.peak)} MB`,
    `${step.cores.ingress.toFixed(2)}, ${step.cores.generator.toFixed(2)}`,
  ]);
  const head = ['offered', '/s', '2xx/s', '429, 503/s', 'not sent/s', 'p50 ms', 'p95', 'p99'];
  const more = ['refused p99', 'recovered', 'ingress RSS', 'cores: ingress, generator'];
  return `${name}: capacity ${whole(capacity)}/s\n\n${markdownTable([...head, ...more], rows)}\n`;
}

/** T10 is about the largest share. */
function judgedOf({ name, steps }: Curve): Judged[] {
  const { share, other, lostConnections, rssMb, recoveredMs } = steps.at(-1)!;
  const row = 'T10';
  const bench = `overload, ${name} at ${share} %`;
  return [
    {
      ...{ row, bench, goal: 'only 2xx, 429 and 503' },
      figure: `${whole(other)} others a second, ${lostConnections} connections lost`,
      met: other === 0 && lostConnections === 0,
    },
    {
      ...{ row, bench, goal: `RSS < ${RSS_MB_MAX} MB` },
      figure: `${whole(rssMb.peak)} MB`,
      met: rssMb.peak < RSS_MB_MAX,
    },
    {
      ...{ row, bench, goal: `recovers in < ${RECOVERY_MS_MAX / 1_000} s` },
      figure: `${(recoveredMs / 1_000).toFixed(1)} s`,
      met: recoveredMs < RECOVERY_MS_MAX,
    },
  ];
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
