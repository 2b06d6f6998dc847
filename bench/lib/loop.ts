// Measures what needs no server under load: the same work again and again from this process. Only
// `run` is timed; what it needs is made anew before each turn.
import { Histogram } from './histogram.ts';
import { watch } from './machine.ts';
import type { Measurement } from './rounds.ts';

const WARM_UP_SECONDS = 0.3;

export interface Loop<Input> {
  seconds: number;
  prepare: () => Input | Promise<Input>;
  /** What one turn of it is, for the percentiles. */
  timed: string;
  /** Gives how many things it did. */
  run: (input: Input) => number | Promise<number>;
  /** Other processes that do the work, idle while something is prepared. */
  watched?: Record<string, number>;
}

export async function measureLoop<Input>(loop: Loop<Input>): Promise<Measurement> {
  await spin({ ...loop, seconds: WARM_UP_SECONDS });
  const used = watch({ bench: process.pid, ...loop.watched });
  const { done, wallSeconds, cpuSeconds, times } = await spin(loop);
  const { cores, rssMb } = used(wallSeconds);
  const { p50Ms, p95Ms, p99Ms } = times.summary();
  return {
    perSecond: done / wallSeconds,
    ...{ p50Ms, p95Ms, p99Ms },
    timed: loop.timed,
    // Of this process, what it took to prepare does not count.
    cores: { ...cores, bench: cpuSeconds / wallSeconds },
    rssMb,
  };
}

async function spin<Input>({ seconds, prepare, run }: Loop<Input>) {
  const times = new Histogram();
  let done = 0;
  let wallMs = 0;
  let cpuSeconds = 0;
  while (wallMs < seconds * 1000) {
    const input = await prepare();
    const before = process.cpuUsage();
    const startMs = performance.now();
    done += await run(input);
    const turnMs = performance.now() - startMs;
    times.record(turnMs);
    wallMs += turnMs;
    const used = process.cpuUsage(before);
    cpuSeconds += (used.user + used.system) / 1e6;
  }
  return { done, wallSeconds: wallMs / 1000, cpuSeconds, times };
}
