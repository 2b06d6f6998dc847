// Measures what needs no server under load: the same work again and again from this process. Only
// `run` is timed; what it needs is made anew before each turn.
import { watch } from './machine.ts';
import type { Measurement } from './rounds.ts';

const WARM_UP_SECONDS = 0.3;

export interface Loop<Input> {
  seconds: number;
  prepare: () => Input | Promise<Input>;
  /** Gives how many things it did. */
  run: (input: Input) => number | Promise<number>;
  /** Other processes that do the work, idle while something is prepared. */
  watched?: Record<string, number>;
}

export async function measureLoop<Input>(loop: Loop<Input>): Promise<Measurement> {
  await spin({ ...loop, seconds: WARM_UP_SECONDS });
  const used = watch(loop.watched ?? {});
  const { done, wallSeconds, cpuSeconds } = await spin(loop);
  const { cores, rssMb } = used(wallSeconds);
  return {
    perSecond: done / wallSeconds,
    cores: { bench: cpuSeconds / wallSeconds, ...cores },
    rssMb: { bench: process.memoryUsage.rss() / 2 ** 20, ...rssMb },
  };
}

async function spin<Input>({ seconds, prepare, run }: Loop<Input>) {
  let done = 0;
  let wallSeconds = 0;
  let cpuSeconds = 0;
  while (wallSeconds < seconds) {
    const input = await prepare();
    const before = process.cpuUsage();
    const startMs = performance.now();
    done += await run(input);
    wallSeconds += (performance.now() - startMs) / 1000;
    const used = process.cpuUsage(before);
    cpuSeconds += (used.user + used.system) / 1e6;
  }
  return { done, wallSeconds, cpuSeconds };
}
