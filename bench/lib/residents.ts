// Memory of processes over time: a sample of each every second, and what can be said of the series.
import { treeUsageOf } from './machine.ts';
import { slopeOf } from './statistics.ts';

const EVERY_MS = 1_000;

/** Seconds since the start, megabytes. */
export type Sample = readonly [seconds: number, mb: number];

export class Residents {
  readonly series: Record<string, Sample[]> = {};
  private readonly startMs = performance.now();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly pids: Record<string, number>) {
    for (const name of Object.keys(pids)) this.series[name] = [];
    this.sample();
    this.timer = setInterval(() => this.sample(), EVERY_MS);
  }

  get seconds(): number {
    return (performance.now() - this.startMs) / 1000;
  }

  /** Takes one more, also between two turns of the clock. */
  sample(): Record<string, number> {
    const now: Record<string, number> = {};
    for (const [name, pid] of Object.entries(this.pids)) {
      now[name] = treeUsageOf(pid).rssMb;
      this.series[name]!.push([this.seconds, now[name]]);
    }
    return now;
  }

  stop(): void {
    clearInterval(this.timer);
  }
}

export interface Trend {
  startMb: number;
  peakMb: number;
  endMb: number;
  /** MB a minute over the second half, by least squares: the first fills buffers and caches. */
  slopeMbPerMinute: number;
}

export function trendOf(series: readonly Sample[]): Trend {
  const half = (series[0]![0] + series.at(-1)![0]) / 2;
  const later = series.filter(([seconds]) => seconds >= half);
  return {
    startMb: series[0]![1],
    peakMb: Math.max(...series.map(([, mb]) => mb)),
    endMb: series.at(-1)![1],
    slopeMbPerMinute: slopeOf(later.map(([seconds, mb]) => [seconds / 60, mb])),
  };
}
