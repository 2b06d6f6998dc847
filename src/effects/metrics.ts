// What lanes measure.
import type { Histogram, Metrics } from '../io/metrics.ts';

export interface LaneMetrics {
  readonly seconds: Histogram;
  /** How many targets are left alone. */
  held(count: number): void;
  settled(kind: string, as: string): void;
}

export function laneMetrics(metrics: Metrics, lane: string): LaneMetrics {
  const settled = metrics.counter(
    'tallyrace_effects_total',
    'Calls to the outside world by what became of them: done, again, giveUp',
    ['lane', 'kind', 'outcome'],
  );
  const open = metrics
    .gauge('tallyrace_breaker_open', 'Targets of this lane whose calls are held back', ['lane'])
    .labels(lane);
  return {
    seconds: metrics
      .histogram('tallyrace_effect_duration_seconds', 'One call to the outside world', ['lane'])
      .labels(lane),
    held: (count) => open.set(count),
    settled: (kind, as) => settled.labels(lane, kind, as).inc(),
  };
}
