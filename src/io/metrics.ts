// Metrics for hot paths: handles are bound once, recording is an array write, text is made only
// when somebody scrapes. One registry a process; the node's registries are merged in
// metrics-text.ts.

export interface Counter {
  inc(by?: number): void;
}
export interface Gauge {
  set(value: number): void;
}
export interface Histogram {
  /** In the unit of the metric's name, seconds for `_seconds`. */
  /** So many observations of one value. */
  observe(value: number, times?: number): void;
}

export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** Seconds, 0.25 ms to 5 s: fine where a cache check lives, coarse where a batch does. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5,
  1, 2, 5,
];
export const SIZE_BUCKETS: readonly number[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000,
];

export interface SeriesSnapshot {
  labels: readonly string[];
  /** One number; for a histogram: a count per bucket, the overflow count, the sum. */
  values: number[];
}

export interface FamilySnapshot {
  name: string;
  help: string;
  kind: MetricKind;
  labelNames: readonly string[];
  buckets: readonly number[];
  series: SeriesSnapshot[];
}

export class Family {
  private readonly byLabels = new Map<string, SeriesSnapshot>();

  constructor(
    readonly name: string,
    readonly help: string,
    readonly kind: MetricKind,
    readonly labelNames: readonly string[],
    readonly buckets: readonly number[],
  ) {}

  /** Bind once, outside the hot path: this builds a string. */
  labels(...labels: string[]): Counter & Gauge & Histogram {
    if (labels.length !== this.labelNames.length)
      throw new Error(`${this.name} takes ${this.labelNames.length} labels, not ${labels.length}`);
    const key = labels.join('\u0000');
    let series = this.byLabels.get(key);
    if (!series) {
      const width = this.kind === 'histogram' ? this.buckets.length + 2 : 1;
      series = { labels, values: Array<number>(width).fill(0) };
      this.byLabels.set(key, series);
    }
    return new Handle(series.values, this.buckets);
  }

  snapshot(): FamilySnapshot {
    const { name, help, kind, labelNames, buckets } = this;
    return { name, help, kind, labelNames, buckets, series: [...this.byLabels.values()] };
  }
}

class Handle implements Counter, Gauge, Histogram {
  constructor(
    private readonly values: number[],
    private readonly buckets: readonly number[],
  ) {}

  inc(by = 1): void {
    this.values[0]! += by;
  }

  set(value: number): void {
    this.values[0] = value;
  }

  observe(value: number, times = 1): void {
    const { buckets, values } = this;
    let bucket = 0;
    while (bucket < buckets.length && value > buckets[bucket]!) bucket++;
    values[bucket]! += times;
    values[buckets.length + 1]! += value * times;
  }
}

export class Metrics {
  private readonly families = new Map<string, Family>();
  private readonly refreshers: (() => void)[] = [];

  counter(name: string, help: string, labelNames: readonly string[] = []): Family {
    return this.family(name, help, 'counter', labelNames, []);
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): Family {
    return this.family(name, help, 'gauge', labelNames, []);
  }

  histogram(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    buckets: readonly number[] = LATENCY_BUCKETS,
  ): Family {
    return this.family(name, help, 'histogram', labelNames, buckets);
  }

  /** Runs just before each snapshot: for gauges that are read, not written. */
  onSnapshot(refresh: () => void): void {
    this.refreshers.push(refresh);
  }

  snapshot(): FamilySnapshot[] {
    for (const refresh of this.refreshers) refresh();
    return [...this.families.values()].map((family) => family.snapshot());
  }

  private family(
    name: string,
    help: string,
    kind: MetricKind,
    labelNames: readonly string[],
    buckets: readonly number[],
  ): Family {
    let family = this.families.get(name);
    if (!family) {
      family = new Family(name, help, kind, labelNames, buckets);
      this.families.set(name, family);
    }
    return family;
  }
}
