// What the worker says of its own work: from accepted to committed, per event, by the histogram
// that operators see; and whether the books are in order afterwards.
import { join } from 'node:path';
import { otherSnapshots } from '../../src/io/metrics-text.ts';
import type { Stack } from '../../test/services.ts';

const FAMILIES = {
  /** From accepted to committed, per event. */
  endToEnd: 'tallyrace_ledger_end_to_end_seconds',
  /** One write to the ledger. */
  flush: 'tallyrace_flush_duration_seconds',
};

/** Counts by bucket; the last is what lies beyond the last bound. */
export interface Buckets {
  bounds: readonly number[];
  counts: readonly number[];
}

/** Processes publish every second: waits for what was measured up to now. */
export async function workerTimes(
  { home }: Pick<Stack, 'home'>,
  what: keyof typeof FAMILIES,
): Promise<Buckets> {
  for (const nowMs = Date.now(); ; await Bun.sleep(50)) {
    const snapshots = await otherSnapshots(join(home, 'run'), '');
    const worker = snapshots.find(({ process, at }) => process === 'worker-1' && at > nowMs);
    const family = worker?.families.find(({ name }) => name === FAMILIES[what]);
    if (family) return { bounds: family.buckets, counts: family.series[0]!.values.slice(0, -1) };
    if (Date.now() - nowMs > 10_000) throw new Error('the worker publishes no metrics');
  }
}

export function since(before: Buckets, after: Buckets): Buckets {
  const counts = after.counts.map((count, index) => count - before.counts[index]!);
  return { bounds: after.bounds, counts };
}

export function totalOf({ counts }: Buckets): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** As Prometheus estimates it: evenly spread within the bucket. Beyond the last bound: the bound. */
export function quantile(buckets: Buckets, fraction: number): number {
  const { bounds, counts } = buckets;
  const rank = totalOf(buckets) * fraction;
  let seen = 0;
  for (const [index, bound] of bounds.entries()) {
    const count = counts[index]!;
    if (count > 0 && seen + count >= rank) {
      const lower = index === 0 ? 0 : bounds[index - 1]!;
      return lower + ((bound - lower) * (rank - seen)) / count;
    }
    seen += count;
  }
  return seen === totalOf(buckets) ? 0 : bounds.at(-1)!;
}

export function percentilesMs(buckets: Buckets): { p50Ms: number; p95Ms: number; p99Ms: number } {
  const ms = (fraction: number): number => quantile(buckets, fraction) * 1000;
  return { p50Ms: ms(0.5), p95Ms: ms(0.95), p99Ms: ms(0.99) };
}

/** Of the whole run, by `tallyrace verify`. */
export async function doubtsOfBooks(stack: Stack): Promise<string[]> {
  const { stdout, exitCode } = await stack.run('verify', '--json');
  if (exitCode !== 0) return [`verify failed: ${stdout.slice(0, 500)}`];
  const { accepted, posted } = JSON.parse(stdout) as { accepted: number; posted: number };
  return posted === accepted ? [] : [`of ${accepted} events ${posted} were posted`];
}
