// CPU and memory of the servers under load, by the pid files of their home. Linux tells; on other
// systems nothing is known, and nothing is claimed.
// Invariant: a process that ends meanwhile (a Postgres backend) keeps its part in its parent's sum.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Used {
  /** Cores, on average. */
  cores: number;
  /** `first` is after a quarter of the time, when caches and pools are filled. */
  rssMb: { first: number; peak: number; last: number };
}

interface Sample {
  cpuSeconds: number;
  rssMb: number;
}

const EVERY_MS = 2_000;
const TICKS_PER_SECOND = 100;
const NOTHING: Sample = { cpuSeconds: 0, rssMb: 0 };

/** Starts to watch; the function that it gives ends that and says what was used. */
export function watchServers(runFolder: string): () => Record<string, Used> {
  const startedAt = performance.now();
  const pids = pidsIn(runFolder);
  const samples = new Map(pids.map(({ name, pid }) => [name, [treeOf(pid)]]));
  const timer = setInterval(() => {
    for (const { name, pid } of pids) samples.get(name)!.push(treeOf(pid));
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    const seconds = (performance.now() - startedAt) / 1_000;
    return Object.fromEntries(
      pids.map(({ name, pid }) => [name, usedOf([...samples.get(name)!, treeOf(pid)], seconds)]),
    );
  };
}

function usedOf(samples: readonly Sample[], seconds: number): Used {
  // A process that is gone at the end has no last figures of its own.
  const known = samples.filter(({ rssMb }) => rssMb > 0);
  const [first, last] = [known[0] ?? NOTHING, known.at(-1) ?? NOTHING];
  return {
    cores: (last.cpuSeconds - first.cpuSeconds) / seconds,
    rssMb: {
      first: (known[Math.floor(known.length / 4)] ?? NOTHING).rssMb,
      peak: Math.max(0, ...known.map(({ rssMb }) => rssMb)),
      last: last.rssMb,
    },
  };
}

function pidsIn(runFolder: string): { name: string; pid: number }[] {
  return readdirSync(runFolder)
    .filter((file) => file.endsWith('.pid') && file !== 'supervisor.pid')
    .map((file) => ({
      name: file.slice(0, -'.pid'.length),
      pid: Number(readFileSync(join(runFolder, file), 'utf8')),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Postgres works in a process per connection: their CPU adds up, the largest counts as memory. */
function treeOf(pid: number): Sample {
  const own = sampleOf(pid);
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean);
  return children
    .map((child) => treeOf(Number(child)))
    .reduce(
      (sum, each) => ({
        cpuSeconds: sum.cpuSeconds + each.cpuSeconds,
        rssMb: Math.max(sum.rssMb, each.rssMb),
      }),
      own,
    );
}

function sampleOf(pid: number): Sample {
  // Counted after the command's name, fields 11 to 14 are ticks: its own, its dead children's.
  const fields = read(`/proc/${pid}/stat`).split(') ').at(-1)!.split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const rssKb = /VmRSS:\s+(\d+) kB/.exec(read(`/proc/${pid}/status`))?.[1];
  return { cpuSeconds: ticks / TICKS_PER_SECOND, rssMb: Number(rssKb ?? 0) / 1024 };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
