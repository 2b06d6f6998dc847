// Servers under load, one generator against one server at a time, with the CPU of both.
import { join } from 'node:path';
import { type Stack, openServices } from '../../test/services.ts';
import { type GeneratorResult, generate } from './generator.ts';
import { usageOf } from './machine.ts';
import type { Measurement } from './rounds.ts';
import type { WorkloadSpec } from './workloads.ts';

const WARM_UP_SECONDS = 1;

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
  expectedStatus: number;
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
  const { name, keys, batch, connections, seconds } = load;
  const apiKey = server.apiKey ? { apiKey: server.apiKey } : {};
  const pids: Record<string, number> = { server: server.pid, ...watched };
  const before = usages(pids);
  const result = await generate({
    connections,
    seconds,
    warmUpSeconds: WARM_UP_SECONDS,
    rate: null,
    workload: { name, target: { ...target, ...apiKey }, keys, batch, run: `run${runs++}` },
  });
  const after = usages(pids);
  const cores: Record<string, number> = { generator: result.cpuSeconds / result.wallSeconds };
  const rssMb: Record<string, number> = {};
  for (const pid of Object.keys(pids)) {
    cores[pid] = (after[pid]!.cpuSeconds - before[pid]!.cpuSeconds) / result.wallSeconds;
    rssMb[pid] = after[pid]!.rssMb;
  }
  const { p50Ms, p95Ms, p99Ms } = result;
  const perSecond = result.perSecond * batch;
  return { perSecond, p50Ms, p95Ms, p99Ms, cores, rssMb, doubts: doubtsOf(result, load) };
}

function usages(pids: Record<string, number>) {
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, usageOf(pid)]));
}

function doubtsOf({ statuses }: GeneratorResult, { expectedStatus }: Load): string[] {
  return Object.entries(statuses)
    .filter(([status]) => Number(status) !== expectedStatus)
    .map(([status, count]) => `${count} answers with status ${status}`);
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

/** The product with one ingress, with what `prepare` puts in beforehand. */
export async function withIngress<Result>(
  prepare: (stack: Stack, tenantId: number) => Promise<void>,
  measure: (server: LoadedServer, stack: Stack) => Promise<Result>,
): Promise<Result> {
  const stack = await openServices('bench');
  try {
    const tenant = await stack.createTenant('bench');
    await prepare(stack, tenant.id);
    const ingress = await stack.startIngress({ NODE_ENV: 'production' });
    return await measure({ pid: ingress.pid, url: ingress.url, apiKey: tenant.key }, stack);
  } finally {
    await stack.close();
  }
}
