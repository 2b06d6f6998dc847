// What a figure was measured on, and what processes used meanwhile: without it, a figure says
// nothing. Linux tells of processes; elsewhere their figures are left out.
// Invariant: memory is the peak of the period, not what happened to be held when it ended.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  cpu: string;
  cores: number;
  memoryMb: number;
  bun: string;
  commit: string;
  at: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    bun: Bun.version,
    commit: commitOf(join(import.meta.dir, '../..')),
    at: new Date().toISOString(),
  };
}

export function machineText({ cpu, cores, memoryMb, bun, commit }: Machine): string {
  return `${cpu}, ${cores} cores, ${memoryMb} MB, Bun ${bun}, commit ${commit}`;
}

function commitOf(root: string): string {
  const git = (...args: string[]): string =>
    Bun.spawnSync(['git', '-C', root, ...args])
      .stdout.toString()
      .trim();
  const commit = git('rev-parse', '--short', 'HEAD') || 'unknown';
  return git('status', '--porcelain', '--untracked-files=no') ? `${commit}+changes` : commit;
}

export interface Usage {
  cpuSeconds: number;
  /** Now. */
  rssMb: number;
  /** Since resetPeak, or since it started where that was not allowed. */
  peakMb: number;
}

const TICKS_PER_SECOND = 100;

/** CPU time and memory of a running process; children that have ended count for their parent. */
export function usageOf(pid: number): Usage {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const ticks = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const megabytes = (field: string): number =>
      Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
    return {
      cpuSeconds: ticks.reduce((sum, value) => sum + Number(value), 0) / TICKS_PER_SECOND,
      rssMb: megabytes('VmRSS'),
      peakMb: megabytes('VmHWM'),
    };
  } catch {
    return { cpuSeconds: Number.NaN, rssMb: Number.NaN, peakMb: Number.NaN };
  }
}

/** Postgres works in a process per connection: CPU is of the whole tree, memory of the largest. */
export function treeUsageOf(pid: number): Usage {
  return childrenOf(pid)
    .map(treeUsageOf)
    .filter(({ cpuSeconds }) => !Number.isNaN(cpuSeconds))
    .reduce(
      (sum, one) => ({
        cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
        rssMb: Math.max(sum.rssMb, one.rssMb),
        peakMb: Math.max(sum.peakMb, one.peakMb),
      }),
      usageOf(pid),
    );
}

/** A process and all below it. */
export function treeOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return [];
  }
}

/** The kernel then counts the peak from what is held now. */
function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not ours, or not Linux: the peak stays that of the whole life.
  }
  for (const child of childrenOf(pid)) resetPeak(child);
}

/** Gives a function that says what the processes, by name and pid, have used since, in cores. */
export function watch(pids: Record<string, number>) {
  const usages = (): [string, Usage][] =>
    Object.entries(pids).map(([name, pid]) => [name, treeUsageOf(pid)]);
  for (const pid of Object.values(pids)) resetPeak(pid);
  const before = Object.fromEntries(usages());
  return (seconds: number) => {
    const cores: Record<string, number> = {};
    /** Peaks of the period. */
    const rssMb: Record<string, number> = {};
    for (const [name, usage] of usages()) {
      cores[name] = (usage.cpuSeconds - before[name]!.cpuSeconds) / seconds;
      rssMb[name] = usage.peakMb;
    }
    return { cores, rssMb };
  };
}
