// What lanes measure.
import { CircuitState } from 'cockatiel';
import type { Histogram, Metrics } from '../io/metrics.ts';

export interface LaneMetrics {
  readonly seconds: Histogram;
  breaker(state: CircuitState): void;
  settled(kind: string, as: string): void;
}

export function laneMetrics(metrics: Metrics, lane: string): LaneMetrics {
  const settled = metrics.counter(
    'tallyrace_effects_total',
    'Calls to the outside world by what became of them: done, again, giveUp',
    ['lane', 'kind', 'outcome'],
  );
  const open = metrics
    .gauge('tallyrace_breaker_open', '1 while calls of this lane are held back', ['lane'])
    .labels(lane);
  return {
    seconds: metrics
      .histogram('tallyrace_effect_duration_seconds', 'One call to the outside world', ['lane'])
      .labels(lane),
    breaker: (state) => open.set(state === CircuitState.Closed ? 0 : 1),
    settled: (kind, as) => settled.labels(lane, kind, as).inc(),
  };
}
