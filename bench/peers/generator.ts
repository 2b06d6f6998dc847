// The load generator as a process of its own: takes its plan as the first argument, prints one JSON
// result.
import { HttpLoad, type LoadResult } from '../lib/http-load.ts';
import { type WorkSpec, requestMaker } from './work.ts';

export interface WorkPlan {
  connections: number;
  seconds: number;
  work: WorkSpec;
}

export interface WorkResult extends LoadResult {
  cpuSeconds: number;
}

export async function generate(plan: WorkPlan): Promise<WorkResult> {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(plan)], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`the generator failed: ${text}`);
  return JSON.parse(text) as WorkResult;
}

if (import.meta.main) {
  const { connections, seconds, work } = JSON.parse(process.argv[2] ?? '') as WorkPlan;
  const { hostname: host, port } = new URL(work.url);
  const before = process.cpuUsage();
  const result = await new HttpLoad(
    { host, port: Number(port), connections, seconds, warmUpSeconds: 0, rate: null },
    requestMaker(work),
  ).run();
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(JSON.stringify({ ...result, cpuSeconds: (user + system) / 1e6 }));
}
