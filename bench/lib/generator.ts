// The load generator as a process of its own: takes a plan as its argument, prints one JSON result.
import { HttpLoad, type LoadPlan, type LoadResult } from './http-load.ts';
import { usageOf } from './machine.ts';
import { type WorkloadSpec, requestMaker } from './workloads.ts';

export interface GeneratorPlan extends Omit<LoadPlan, 'host' | 'port'> {
  workload: WorkloadSpec;
}

export interface GeneratorResult extends LoadResult {
  cpuSeconds: number;
  peakMb: number;
  wallSeconds: number;
}

/** Runs the plan in a child process, so that generator and orchestrator do not share a thread. */
export async function generate(plan: GeneratorPlan): Promise<GeneratorResult> {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(plan)], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`the generator failed: ${text}`);
  return JSON.parse(text) as GeneratorResult;
}

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? '') as GeneratorPlan;
  const { host, port } = plan.workload.target;
  const makeRequest = requestMaker(plan.workload);
  const before = process.cpuUsage();
  const startMs = performance.now();
  const result = await new HttpLoad({ ...plan, host, port }, makeRequest).run();
  const used = process.cpuUsage(before);
  const cpuSeconds = (used.user + used.system) / 1e6;
  const wallSeconds = (performance.now() - startMs) / 1000;
  const { peakMb } = usageOf(process.pid);
  process.stdout.write(JSON.stringify({ ...result, cpuSeconds, peakMb, wallSeconds }));
}
