// What a figure was measured on: without it, a figure says nothing.
import { readFileSync } from 'node:fs';
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
  rssMb: number;
}

const TICKS_PER_SECOND = 100;

/** CPU time and memory of a running process; Linux tells, other systems are left out. */
export function usageOf(pid: number): Usage {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      rssMb: Number(rss?.[1] ?? 0) / 1024,
    };
  } catch {
    return { cpuSeconds: Number.NaN, rssMb: Number.NaN };
  }
}

/** Postgres works in a process per connection: the whole tree counts. */
export function treeUsageOf(pid: number): Usage {
  const children = Bun.spawnSync(['pgrep', '-P', String(pid)])
    .stdout.toString()
    .split('\n');
  return children
    .filter(Boolean)
    .map((child) => treeUsageOf(Number(child)))
    .reduce(
      (sum, one) => ({
        cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
        rssMb: Math.max(sum.rssMb, one.rssMb),
      }),
      usageOf(pid),
    );
}

/** Gives a function that says what the processes, by name and pid, have used since, in cores. */
export function watch(pids: Record<string, number>) {
  const usages = (): [string, Usage][] =>
    Object.entries(pids).map(([name, pid]) => [name, treeUsageOf(pid)]);
  const before = Object.fromEntries(usages());
  return (seconds: number) => {
    const cores: Record<string, number> = {};
    const rssMb: Record<string, number> = {};
    for (const [name, usage] of usages()) {
      cores[name] = (usage.cpuSeconds - before[name]!.cpuSeconds) / seconds;
      rssMb[name] = usage.rssMb;
    }
    return { cores, rssMb };
  };
}
