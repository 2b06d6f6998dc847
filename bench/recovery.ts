// Recovery: how long after a fault a whole stack under load serves as before. A store is frozen, or
// the worker dies and is away; the generator asks for a mix all the while, and a bystander sends an
// event now and then and waits until the ledger has it, which needs every part.
// `npm run bench -- recovery [--fault redis|postgres|worker] [--rate requests a second]`
import type { CouponTerms } from '../schemas/coupons.ts';
import { openCounters } from '../test/coupons/sweep.ts';
import type { Stack } from '../test/services.ts';
import { UsageError, readOptions } from './lib/arguments.ts';
import { putCoupons } from './lib/coupons.ts';
import { generate } from './lib/generator.ts';
import { type Judged, markdownTable, summaryMarkdown } from './lib/goals.ts';
import { describeMachine, treeOf } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';
import { type LoadedServer, type Product, withProduct } from './lib/servers.ts';
import { withTicker } from './lib/ticker.ts';

const CODES = 10_000;
const TERMS: CouponTerms = { kind: 'percent', percent_bp: 1_000, status: 'active' };
const BEFORE_SECONDS = 8;
const AFTER_SECONDS = 20;
const WARM_UP_SECONDS = 3;
const PROBE_EVERY_MS = 50;
const PROBE_MS_MAX = 10_000;
/** A wait is as before when it is no longer than twice what nearly all took then, and this. */
const CALM_MS = 1_000;
const NORMAL_MS = 100;
const RECOVERY_MS_MAX = 5_000;
/** Of what a closed loop does. */
const LOAD_SHARE = 0.8;

interface Fault {
  what: string;
  seconds: number;
  /** Gives what ends it. */
  begin(product: Product): () => Promise<void>;
}

function frozen(name: 'redis' | 'postgres'): Fault['begin'] {
  return ({ watched }) => {
    const pids = treeOf(watched[name]!);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    return async () => {
      for (const pid of pids.toReversed()) process.kill(pid, 'SIGCONT');
    };
  };
}

const faults: Record<string, Fault> = {
  redis: { what: 'Redis frozen', seconds: 10, begin: frozen('redis') },
  postgres: { what: 'Postgres frozen', seconds: 10, begin: frozen('postgres') },
  worker: {
    what: 'worker killed, and started again later',
    seconds: 20,
    begin({ watched, stack }) {
      process.kill(watched['worker']!, 'SIGKILL');
      return async () => void (await stack.startWorker({ PROCESS_NAME: 'worker-1' }));
    },
  },
};

interface Recovery {
  what: string;
  seconds: number;
  rate: number;
  normalMs: number;
  recoveredMs: number;
  /** Answers by status, over all. */
  statuses: Record<number, number>;
}

const standard = { fault: 'all', rate: 0, connections: 2_000 };

export async function recoveryBench(args: readonly string[]): Promise<number> {
  const options = readOptions(args, standard);
  const names = options.fault === 'all' ? Object.keys(faults) : [options.fault];
  if (names.some((name) => !faults[name]))
    throw new UsageError(`--fault is one of ${Object.keys(faults).join(', ')}`);
  const recoveries: Recovery[] = [];
  for (const name of names) recoveries.push(await measure(faults[name]!, options));
  const machine = describeMachine();
  const table = tableOf(recoveries);
  const summary = summaryMarkdown(machine, recoveries.map(judgedOf));
  await saveJson('recovery', { machine, options, recoveries });
  const saved = await saveText('recovery.md', `${table}\n${summary}`);
  console.log(`${table}\n${summary}\nsaved in ${saved}`);
  return 0;
}

function measure(fault: Fault, { rate, connections }: typeof standard): Promise<Recovery> {
  return withProduct({ worker: true, prepare }, async (product) => {
    const { hostname, port } = new URL(product.server.url);
    const target = { host: hostname, port: Number(port), apiKey: product.server.apiKey! };
    const workload = { name: 'mixed' as const, target, keys: CODES, batch: 1 };
    const load = { workload, warmUpSeconds: WARM_UP_SECONDS, beyondCapacity: true };
    const closed = { ...load, connections: 256, seconds: 4, rate: null };
    const capacity = await generate({ ...closed, workload: { ...workload, run: 'capacity' } });
    const offered = rate > 0 ? rate : capacity.perSecond * LOAD_SHARE;
    const seconds = BEFORE_SECONDS + fault.seconds + AFTER_SECONDS;
    const plan = { ...load, connections, seconds, rate: offered };
    const generated = generate({ ...plan, workload: { ...workload, run: 'load' } });
    const { what } = fault;
    const waits = await withTicker(what, WARM_UP_SECONDS + seconds, () => watched(product, fault));
    const { statuses } = await generated;
    return { what, seconds: fault.seconds, rate: offered, ...waits, statuses };
  });
}

async function prepare(stack: Stack, tenant: number): Promise<void> {
  await putCoupons(stack, tenant, CODES, TERMS);
  await openCounters(stack);
}

async function watched(product: Product, fault: Fault) {
  const probes = probing(product.server);
  try {
    await Bun.sleep((WARM_UP_SECONDS + BEFORE_SECONDS) * 1_000);
    const normalMs = Math.max(NORMAL_MS, 2 * probes.almostAllWithin(BEFORE_SECONDS * 1_000));
    const end = fault.begin(product);
    await Bun.sleep(fault.seconds * 1_000);
    await end();
    const endedAtMs = performance.now();
    await Bun.sleep(AFTER_SECONDS * 1_000);
    return { normalMs, recoveredMs: probes.lastWorse(endedAtMs, normalMs) };
  } finally {
    probes.stop();
  }
}

interface Probe {
  sentAtMs: number;
  tookMs: number;
}

/** An event that is answered when the ledger has it; not answered so, it took for ever. */
function probing({ url, apiKey }: LoadedServer) {
  const probes: Probe[] = [];
  let count = 0;
  const ask = async (): Promise<void> => {
    const probe = { sentAtMs: performance.now(), tookMs: Infinity };
    probes.push(probe);
    const answer = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${apiKey}`,
        'Content-Type': 'application/json',
        Prefer: `wait=ledger; timeout=${PROBE_MS_MAX}`,
      },
      body:
        `{"id":"probe-${count++}","type":"earning.credited","data":{"user_id":"probe",` +
        '"kind":"probe","amount":{"amount":1,"currency":"USD"},"reference":"probe"}}',
    }).catch(() => null);
    await answer?.text();
    if (answer?.status === 200) probe.tookMs = performance.now() - probe.sentAtMs;
  };
  const timer = setInterval(() => void ask(), PROBE_EVERY_MS);
  return {
    stop: () => clearInterval(timer),
    /** Of those sent in that time, but for the last second, whose answers may be on their way. */
    almostAllWithin(lastMs: number): number {
      const agoMs = ({ sentAtMs }: Probe): number => performance.now() - sentAtMs;
      const asked = probes.filter((probe) => agoMs(probe) < lastMs && agoMs(probe) > CALM_MS);
      const took = asked.map(({ tookMs }) => tookMs);
      return took.toSorted((a, b) => a - b)[Math.floor(took.length * 0.95)] ?? Infinity;
    },
    /** From the end of the fault to the last request sent that waited longer than usual, of those
     * before a second in which none did. */
    lastWorse(endedAtMs: number, normalMs: number): number {
      // Without a usual wait there is nothing to come back to.
      if (!Number.isFinite(normalMs)) return Infinity;
      let calmSinceMs = endedAtMs;
      for (const { sentAtMs, tookMs } of probes) {
        if (sentAtMs < endedAtMs) continue;
        if (tookMs > normalMs) calmSinceMs = sentAtMs + Math.min(tookMs, PROBE_MS_MAX);
        else if (sentAtMs - calmSinceMs > CALM_MS) return calmSinceMs - endedAtMs;
      }
      return Infinity;
    },
  };
}

function tableOf(recoveries: readonly Recovery[]): string {
  const head = ['fault', 'for', 'load, requests/s', 'usual wait', 'as before after', 'answers'];
  const rows = recoveries.map(({ what, seconds, rate, normalMs, recoveredMs, statuses }) => [
    ...[what, `${seconds} s`, Math.round(rate).toLocaleString('en')],
    ...[`${Math.round(normalMs)} ms`, `${(recoveredMs / 1_000).toFixed(1)} s`],
    Object.entries(statuses)
      .map(([status, answers]) => `${status}: ${answers.toLocaleString('en')}`)
      .join(', '),
  ]);
  return markdownTable(head, rows);
}

function judgedOf({ what, recoveredMs }: Recovery): Judged {
  return {
    ...{ row: 'recovery', bench: what, goal: `as before in < ${RECOVERY_MS_MAX / 1_000} s` },
    figure: `${(recoveredMs / 1_000).toFixed(1)} s`,
    met: recoveredMs < RECOVERY_MS_MAX,
  };
}
