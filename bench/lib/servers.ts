// Servers under load, one generator against one server at a time, with the CPU of both.
import { join } from 'node:path';
import { type Stack, openServices } from '../../test/services.ts';
import { type GeneratorResult, generate } from './generator.ts';
import { watch } from './machine.ts';
import type { Measurement } from './rounds.ts';
import type { WorkloadSpec } from './workloads.ts';

const WARM_UP_SECONDS = 1;
const UNSENT_SHARE_MAX = 0.01;

export interface LoadedServer {
  pid: number;
  url: string;
  apiKey?: string;
}

export interface Load {
  name: WorkloadSpec['name'];
  keys: number;
  batch: number;
  connections: number;
  seconds: number;
  /** Requests per second of an open loop; left out for a closed one. */
  rate?: number;
  expectedStatuses: readonly number[];
}

let runs = 0;

/** Further processes (Redis, Postgres) are watched by pid. */
export async function measureHttp(
  server: LoadedServer,
  load: Load,
  watched: Record<string, number>,
): Promise<Measurement> {
  const { hostname, port } = new URL(server.url);
  const target = { host: hostname, port: Number(port) };
  const { name, keys, batch, connections, seconds, rate = null } = load;
  const apiKey = server.apiKey ? { apiKey: server.apiKey } : {};
  const used = watch({ server: server.pid, ...watched });
  const result = await generate({
    connections,
    seconds,
    warmUpSeconds: WARM_UP_SECONDS,
    rate,
    workload: { name, target: { ...target, ...apiKey }, keys, batch, run: `run${runs++}` },
  });
  const { cores, rssMb } = used(result.wallSeconds);
  const { p50Ms, p95Ms, p99Ms } = result;
  return {
    perSecond: (expectedOf(result, load) / result.seconds) * batch,
    ...{ p50Ms, p95Ms, p99Ms },
    cores: { generator: result.cpuSeconds / result.wallSeconds, ...cores },
    rssMb: { generator: result.peakMb, ...rssMb },
    doubts: doubtsOf(result, load),
  };
}

/** Answers that count: what was refused or failed was not done. */
function expectedOf({ statuses }: GeneratorResult, { expectedStatuses }: Load): number {
  return expectedStatuses.reduce((sum, status) => sum + (statuses[status] ?? 0), 0);
}

function doubtsOf(result: GeneratorResult, { expectedStatuses }: Load): string[] {
  const { statuses, unsent, requests } = result;
  const doubts = Object.entries(statuses)
    .filter(([status]) => !expectedStatuses.includes(Number(status)))
    .map(([status, count]) => `${count} of ${requests} answers with status ${status}`);
  // What became due in the last tick of the generator's clock is no sign of a stall.
  const stalled = unsent > requests * UNSENT_SHARE_MAX;
  return stalled ? [...doubts, `${unsent} requests were due and not sent`] : doubts;
}

/** A bare server from bench/limits: prints its port when it listens. */
export async function startBare(file: string, ...args: string[]) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, '../limits', file), ...args], {
    env: { ...process.env, NODE_ENV: 'production' },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const { value } = await child.stdout.getReader().read();
  const url = `http://127.0.0.1:${new TextDecoder().decode(value).trim()}`;
  return {
    pid: child.pid,
    url,
    async stop() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}

/** A worker whose earnings have no account in common; see its file. */
export function startSpreadWorker({ environment }: Stack) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, '../limits/spread-worker.ts')], {
    env: { ...process.env, ...environment, PROCESS_NAME: 'worker-1', NODE_ENV: 'production' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return {
    pid: child.pid,
    async stop() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}

export interface Product {
  server: LoadedServer;
  stack: Stack;
  tenant: number;
  /** Pids by name of everything but the ingress. */
  watched: Record<string, number>;
}

export interface Setup {
  /** Puts in beforehand what the processes shall find. */
  prepare?: (stack: Stack, tenant: number) => Promise<void>;
  worker?: boolean;
}

/** The product with one ingress, and a worker where it is asked for. */
export async function withProduct<Result>(
  { prepare, worker = false }: Setup,
  measure: (product: Product) => Promise<Result>,
): Promise<Result> {
  const stack = await openServices('bench');
  try {
    const tenant = await stack.createTenant('bench');
    await prepare?.(stack, tenant.id);
    const ingress = await stack.startIngress({ NODE_ENV: 'production' });
    const watched: Record<string, number> = { redis: stack.redisPid, postgres: stack.postgresPid };
    if (worker) watched['worker'] = (await stack.startWorker({ NODE_ENV: 'production' })).pid;
    const server = { pid: ingress.pid, url: ingress.url, apiKey: tenant.key };
    return await measure({ server, stack, tenant: tenant.id, watched });
  } finally {
    await stack.close();
  }
}
