// The drawing of the overload bench: what the figures say is where the lines are.
import { expect, test } from 'bun:test';
import { curvesSvg } from '../../bench/lib/curve-svg.ts';
import type { Step } from '../../bench/lib/curve.ts';

function step(share: number, good: number, p99Ms: number): Step {
  return {
    ...{ share, good, p99Ms, offered: share * 100, limited: 0, unavailable: 0, other: 0 },
    ...{ dropped: 0, lostConnections: 0, p50Ms: 1, p95Ms: 1, refusedP99Ms: 0, recoveredMs: 0 },
    ...{ rssMb: { peak: 1, after: 1 }, cores: { ingress: 1, generator: 1 } },
  };
}

function heights(svg: string, kind: string): number[][] {
  const lines = svg.matchAll(new RegExp(`<polyline class="${kind}" points="([^"]+)"`, 'g'));
  return [...lines].map(([, points]) =>
    points!.split(' ').map((point) => Number(point.split(',')[1])),
  );
}

test('a rate twice as high is drawn twice as high, a latency ten times as long one line up', () => {
  const steps = [step(50, 5_000, 10), step(100, 10_000, 100), step(500, 10_000, 1_000)];
  const svg = curvesSvg([{ name: 'checks', capacity: 10_000, steps }]);
  const [rates, latencies] = heights(svg, 'good');
  const [refused] = heights(svg, 'refused');
  const floor = refused![0]!;
  expect(floor - rates![1]!).toBeCloseTo(2 * (floor - rates![0]!), 0);
  expect(rates![2]).toBe(rates![1]!);
  expect(latencies![0]! - latencies![1]!).toBeCloseTo(latencies![1]! - latencies![2]!, 0);
  expect(latencies![0]!).toBeGreaterThan(latencies![1]!);
});
