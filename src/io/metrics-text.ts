// The node's metrics as Prometheus text (format 0.0.4). Each process writes its snapshot to a file
// every second; whoever is scraped merges the fresh ones, with a `process` label.
// Invariant: all samples of one name stand together under one HELP and TYPE, as parsers ask.
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { FamilySnapshot, Metrics, SeriesSnapshot } from './metrics.ts';

export interface ProcessSnapshot {
  process: string;
  /** Tells a process from the one of its name that it replaces. */
  pid?: number;
  /** ms since the epoch. */
  at: number;
  families: FamilySnapshot[];
}

const PUBLISH_EVERY_MS = 1_000;
/** A process that has not written for this long is not running. */
const FRESH_MS = 5_000;
const SUFFIX = '.metrics.json';

/** What every process says of itself. */
export function watchProcess(metrics: Metrics): void {
  const memory = metrics.gauge('process_resident_memory_bytes', 'Resident memory.').labels();
  const cpu = metrics.counter('process_cpu_seconds_total', 'CPU time, user and system.').labels();
  const lag = metrics
    .gauge('tallyrace_event_loop_lag_seconds', 'Longest delay of the event loop since last asked.')
    .labels();
  const started = metrics.gauge('process_start_time_seconds', 'Start, in Unix time.').labels();
  started.set(Math.round(Date.now() / 1_000 - process.uptime()));
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  let cpuSeconds = 0;
  metrics.onSnapshot(() => {
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.inc((user + system) / 1e6 - cpuSeconds);
    cpuSeconds = (user + system) / 1e6;
    lag.set(Math.max(0, delay.max / 1e9));
    delay.reset();
  });
}

/**
 * Writes this process's snapshot to `<dir>/<name>.metrics.json`, now and every second, whole or
 * not. A process publishes from the moment that it does its work.
 */
export function publishMetrics(
  metrics: Metrics,
  dir: string,
  name: string,
): { stop(): Promise<void> } {
  const file = snapshotFile(dir, name);
  const { pid } = process;
  // Of its own, so that the one of this name that it replaces does not write into it.
  const aside = `${file}.${pid}`;
  let writing = Promise.resolve();
  const publish = async (): Promise<void> => {
    const families = metrics.snapshot();
    const snapshot: ProcessSnapshot = { process: name, pid, at: Date.now(), families };
    await Bun.write(aside, JSON.stringify(snapshot));
    await rename(aside, file);
  };
  // A full disk costs metrics, nothing else.
  const write = (): void => void (writing = writing.then(publish).catch(() => {}));
  write();
  const timer = setInterval(write, PUBLISH_EVERY_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await writing;
      // Not the file of one that has taken over the name.
      const left = (await Bun.file(file)
        .json()
        .catch(() => null)) as ProcessSnapshot | null;
      if (left?.pid === pid) await rm(file, { force: true });
    },
  };
}

export function snapshotFile(dir: string, name: string): string {
  return join(dir, name + SUFFIX);
}

/** Snapshots of the other processes of this node. */
export async function otherSnapshots(dir: string, own: string): Promise<ProcessSnapshot[]> {
  const names = await readdir(dir).catch(() => []);
  const files = names.filter((name) => name.endsWith(SUFFIX) && name !== own + SUFFIX);
  const snapshots = await Promise.all(
    files.map(async (name) => {
      // A process that ends takes its file with it, perhaps just now.
      const read = Bun.file(join(dir, name)).json() as Promise<ProcessSnapshot>;
      return read.catch(() => null);
    }),
  );
  return snapshots.filter((each): each is ProcessSnapshot => {
    return each !== null && Date.now() - each.at < FRESH_MS;
  });
}

export function prometheusText(snapshots: readonly ProcessSnapshot[]): string {
  const families = new Map<string, { family: FamilySnapshot; lines: string[] }>();
  for (const { process, families: ofProcess } of snapshots) {
    for (const family of ofProcess) {
      let merged = families.get(family.name);
      if (!merged) families.set(family.name, (merged = { family, lines: [] }));
      for (const series of family.series) merged.lines.push(...samples(family, series, process));
    }
  }
  return [...families.values()]
    .filter(({ lines }) => lines.length > 0)
    .map(
      ({ family: { name, help, kind }, lines }) =>
        `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n` +
        `# TYPE ${name} ${kind}\n${lines.join('\n')}\n`,
    )
    .join('');
}

function samples(family: FamilySnapshot, series: SeriesSnapshot, process: string): string[] {
  const { name, kind, labelNames, buckets } = family;
  const labels = [
    ...labelNames.map((label, index) => `${label}="${escaped(series.labels[index]!)}"`),
    `process="${escaped(process)}"`,
  ].join(',');
  if (kind !== 'histogram') return [`${name}{${labels}} ${series.values[0]}`];
  let count = 0;
  const lines = buckets.map((bound, index) => {
    count += series.values[index]!;
    return `${name}_bucket{${labels},le="${bound}"} ${count}`;
  });
  count += series.values[buckets.length]!;
  lines.push(`${name}_bucket{${labels},le="+Inf"} ${count}`);
  lines.push(`${name}_sum{${labels}} ${series.values[buckets.length + 1]}`);
  lines.push(`${name}_count{${labels}} ${count}`);
  return lines;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
