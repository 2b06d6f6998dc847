// Chance that can be repeated: what is drawn depends on the seed and on what it is drawn for.
// Invariant: the same seed and the same label give the same number, whatever was drawn in between.

/** From 0 up to 1. */
export function drawn(seed: number, ...label: readonly (string | number)[]): number {
  return Number(Bun.hash.wyhash(label.join('\n'), BigInt(seed)) >> 11n) / 2 ** 53;
}

const NORMAL_AT_P99 = 2.326;

/** Log-normal, as answers of real gateways are: half are faster than the median. */
export function drawnLatencyMs(
  medianMs: number,
  p99Ms: number,
  seed: number,
  ...label: readonly (string | number)[]
): number {
  if (medianMs === 0) return 0;
  const sigma = Math.log(Math.max(p99Ms, medianMs) / medianMs) / NORMAL_AT_P99;
  // Box and Muller, "A note on the generation of random normal deviates", 1958.
  const radius = Math.sqrt(-2 * Math.log(1 - drawn(seed, 'radius', ...label)));
  const normal = radius * Math.cos(2 * Math.PI * drawn(seed, 'angle', ...label));
  return medianMs * Math.exp(sigma * normal);
}
