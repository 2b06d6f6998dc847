// Latencies in logarithmic buckets, 64 to each doubling: at most 1.6 % wide, a record is one array
// write, and histograms of several rounds add up.
const SUB_BUCKETS = 64;
const SUB_BITS = 6;

export interface Percentiles {
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
}

export class Histogram {
  private readonly counts = new Float64Array((32 - SUB_BITS) * SUB_BUCKETS + SUB_BUCKETS);
  private maxUs = 0;
  total = 0;

  record(ms: number): void {
    const us = Math.min(Math.max(Math.round(ms * 1000), 0), 0x7fffffff);
    this.counts[bucketOf(us)]!++;
    this.total++;
    if (us > this.maxUs) this.maxUs = us;
  }

  percentileMs(fraction: number): number {
    const rank = Math.ceil(this.total * fraction);
    let seen = 0;
    for (let bucket = 0; bucket < this.counts.length; bucket++) {
      seen += this.counts[bucket]!;
      if (seen >= rank && seen > 0) return Math.min(upperUs(bucket), this.maxUs) / 1000;
    }
    return 0;
  }

  summary(): Percentiles {
    return {
      p50Ms: this.percentileMs(0.5),
      p95Ms: this.percentileMs(0.95),
      p99Ms: this.percentileMs(0.99),
      maxMs: this.maxUs / 1000,
    };
  }
}

function bucketOf(us: number): number {
  if (us < SUB_BUCKETS) return us;
  const shift = 31 - Math.clz32(us) - SUB_BITS;
  return (shift + 1) * SUB_BUCKETS + (us >>> shift) - SUB_BUCKETS;
}

/** The largest value that falls into the bucket. */
function upperUs(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  const lead = (bucket % SUB_BUCKETS) + SUB_BUCKETS;
  return (lead + 1) * 2 ** shift - 1;
}
