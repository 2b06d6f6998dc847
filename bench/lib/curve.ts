// One step of the overload curve: a generator of its own process offers a rate, a bystander asks
// now and then from here, and the ingress is watched. What finds no free connection is dropped and
// counted, never sent late, so latency counts from the intended start and is the server's.
// Invariant: an answer counts as good only with a status of 2xx; the others are never in p99.
import { type GeneratorResult, generate } from './generator.ts';
import type { Percentiles } from './histogram.ts';
import { usageOf } from './machine.ts';
import type { LoadedServer } from './servers.ts';
import type { WorkloadSpec } from './workloads.ts';

export interface Offer {
  workload: Omit<WorkloadSpec, 'target' | 'run'>;
  connections: number;
  seconds: number;
  /** Requests a second; null is a closed loop, which finds the capacity. */
  rate: number | null;
}

export interface Step {
  /** Percent of the capacity. */
  share: number;
  /** Requests a second that were due, and what became of them. */
  offered: number;
  good: number;
  limited: number;
  unavailable: number;
  /** Answers with any other status. */
  other: number;
  /** Due while every connection waited for an answer, so never sent. */
  dropped: number;
  lostConnections: number;
  /** Of the good answers; of a mix, those of its slowest kind. */
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  /** How long it took to be told 429 or 503. */
  refusedP99Ms: number;
  /** From the end of the load until every probe of a second was answered well again. */
  recoveredMs: number;
  rssMb: { peak: number; after: number };
  /** CPU seconds a second. */
  cores: { ingress: number; generator: number };
}

export interface Curve {
  name: string;
  /** Good answers a second of a closed loop, the generator beside it. */
  capacity: number;
  steps: Step[];
}

interface Probe {
  sentAtMs: number;
  doneAtMs: number;
  good: boolean;
}

const WARM_UP_SECONDS = 1;
const PROBE_EVERY_MS = 20;
const PROBE_MS_MAX = 50;
/** So long must all be well for the server to count as recovered. */
const CALM_MS = 1_000;
const RECOVERY_MS_MAX = 15_000;

let runs = 0;

export async function takeStep(server: LoadedServer, offer: Offer, share = 0): Promise<Step> {
  const { hostname, port } = new URL(server.url);
  const target = { host: hostname, port: Number(port), apiKey: server.apiKey! };
  const bystander = watchFromAside(server);
  const before = usageOf(server.pid).cpuSeconds;
  try {
    const result = await generate({
      ...offer,
      warmUpSeconds: WARM_UP_SECONDS,
      beyondCapacity: true,
      workload: { ...offer.workload, target, run: `step${Date.now()}-${runs++}` },
    });
    const cpuSeconds = usageOf(server.pid).cpuSeconds - before;
    const recoveredMs = await bystander.recovered(result.endedAtMs);
    return {
      share,
      ...countsOf(result),
      offered: offer.rate ?? result.perSecond,
      recoveredMs,
      rssMb: { peak: bystander.peakRssMb(), after: usageOf(server.pid).rssMb },
      cores: {
        ingress: cpuSeconds / result.wallSeconds,
        generator: result.cpuSeconds / result.wallSeconds,
      },
    };
  } finally {
    bystander.stop();
  }
}

function countsOf({ seconds, statuses, latencies, dropped, lostConnections }: GeneratorResult) {
  const perSecond = (wanted: (status: number) => boolean): number =>
    Object.entries(statuses).reduce(
      (sum, [status, count]) => (wanted(Number(status)) ? sum + count : sum),
      0,
    ) / seconds;
  const good = [200, 201, 202].map((status) => latencies[status] ?? nothing);
  const worst = (of: (percentiles: Percentiles) => number): number => Math.max(...good.map(of));
  return {
    good: perSecond((status) => status < 300),
    limited: perSecond((status) => status === 429),
    unavailable: perSecond((status) => status === 503),
    other: perSecond((status) => status >= 300 && status !== 429 && status !== 503),
    dropped: dropped / seconds,
    lostConnections,
    p50Ms: worst(({ p50Ms }) => p50Ms),
    p95Ms: worst(({ p95Ms }) => p95Ms),
    p99Ms: worst(({ p99Ms }) => p99Ms),
    refusedP99Ms: Math.max(latencies[429]?.p99Ms ?? 0, latencies[503]?.p99Ms ?? 0),
  };
}

const nothing: Percentiles = { p50Ms: 0, p95Ms: 0, p99Ms: 0, maxMs: 0 };

/** Asks every 20 ms as somebody else would, and looks at the memory of the process. */
function watchFromAside({ url, pid, apiKey }: LoadedServer) {
  const probes: Probe[] = [];
  let peakRssMb = 0;
  const ask = async (): Promise<void> => {
    const sentAtMs = Date.now();
    const good = await fetch(`${url}/v1/coupons/validate`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json' },
      body: '{"code":"CODE0000000","order":{"total":{"amount":5000,"currency":"USD"}}}',
    })
      .then(async (answer) => (await answer.text()).length > 0 && answer.ok)
      .catch(() => false);
    probes.push({ sentAtMs, doneAtMs: Date.now(), good });
  };
  const timer = setInterval(() => {
    peakRssMb = Math.max(peakRssMb, usageOf(pid).rssMb);
    void ask();
  }, PROBE_EVERY_MS);
  return {
    peakRssMb: () => peakRssMb,
    stop: () => clearInterval(timer),
    async recovered(endedAtMs: number): Promise<number> {
      for (;;) {
        await Bun.sleep(PROBE_EVERY_MS);
        const lastBadMs = probes.reduce(
          (last, { sentAtMs, doneAtMs, good }) =>
            good && doneAtMs - sentAtMs < PROBE_MS_MAX ? last : Math.max(last, doneAtMs),
          endedAtMs,
        );
        const calmMs = Date.now() - lastBadMs;
        if (calmMs > CALM_MS) return lastBadMs - endedAtMs;
        if (Date.now() - endedAtMs > RECOVERY_MS_MAX) return Infinity;
      }
    },
  };
}
