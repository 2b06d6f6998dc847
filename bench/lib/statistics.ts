// Whether two small samples differ by more than chance: Student's interval on logarithms, so that a
// change is a factor; rounds of two runs of one bench scatter alike, so they share their variance.
// Invariant: of equal samples about one in a hundred is called different; a test draws and counts.

/** Student's t at 99.5 % (so 99 % two-sided), by degrees of freedom from 1. */
const T_BY_FREEDOM = [
  63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.106, 3.055, 3.012, 2.977,
  2.947, 2.921, 2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763,
  2.756, 2.75,
];

export interface Interval {
  low: number;
  high: number;
}

/** By what factor the second differs from the first, with 99 % certainty; null where it cannot be
 * said: fewer than two values, or values that are not above zero. */
export function factorBetween(
  before: readonly number[],
  after: readonly number[],
): Interval | null {
  if (Math.min(before.length, after.length) < 2) return null;
  if ([...before, ...after].some((value) => !(value > 0))) return null;
  const [a, b] = [momentsOf(before.map(Math.log)), momentsOf(after.map(Math.log))];
  const freedom = before.length + after.length - 2;
  const variance = (a.squares + b.squares) / freedom;
  const reach = tOf(freedom) * Math.sqrt(variance * (1 / before.length + 1 / after.length));
  const difference = b.mean - a.mean;
  return { low: Math.exp(difference - reach), high: Math.exp(difference + reach) };
}

function tOf(freedom: number): number {
  return T_BY_FREEDOM[Math.min(freedom, T_BY_FREEDOM.length) - 1]!;
}

/** The mean, and the sum of squared distances from it. */
function momentsOf(values: readonly number[]): { mean: number; squares: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, squares: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) };
}

/** By how much y grows for each step of x, by least squares; 0 of fewer than two points. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (at: 0 | 1): number =>
    points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  let [both, squares] = [0, 0];
  for (const [x, y] of points) {
    both += (x - meanX) * (y - meanY);
    squares += (x - meanX) ** 2;
  }
  return squares === 0 ? 0 : both / squares;
}
