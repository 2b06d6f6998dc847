// Exact arithmetic on integer minor units: rates in basis points, rounding once and half to even,
// splits by largest remainder. No floating point ever holds a fraction of a minor unit.
// Invariant: a split sums to its whole; a result that JSON could not carry exactly throws.

const BASIS = 10_000;

/**
 * `amount` times each rate in basis points, rounded once at the end, half to even: two rates are
 * one product and one rounding. Symmetric about zero.
 */
export function applyRates(amount: number, ...ratesBp: readonly number[]): number {
  if (ratesBp.length === 1) {
    const product = amount * ratesBp[0]!;
    if (Number.isSafeInteger(product)) return divideSmall(product, BASIS);
  }
  let numerator = BigInt(amount);
  let denominator = 1n;
  for (const rate of ratesBp) {
    numerator *= BigInt(rate);
    denominator *= BigInt(BASIS);
  }
  return exactNumber(divideHalfEven(numerator, denominator));
}

/** The integer nearest to numerator / denominator; of two equally near, the even one. */
export function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  if (denominator <= 0n) throw new RangeError('the denominator must be positive');
  const negative = numerator < 0n;
  const magnitude = negative ? -numerator : numerator;
  const quotient = magnitude / denominator;
  const twice = (magnitude % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  const rounded = up ? quotient + 1n : quotient;
  return negative ? -rounded : rounded;
}

/**
 * Splits `amount` in proportion to integer weights. Each share is rounded down, and what is left
 * over goes, one minor unit each, to the largest remainders, ties to the first. A negative amount
 * is split as its magnitude is.
 */
export function splitByWeights(amount: number, weights: readonly number[]): number[] {
  const parts = weights.map((weight) => weightOf(weight));
  const total = parts.reduce((sum, weight) => sum + weight, 0n);
  if (total === 0n) throw new RangeError('a split needs at least one positive weight');
  const magnitude = BigInt(Math.abs(amount));
  const shares = parts.map((weight) => (magnitude * weight) / total);
  const remainders = parts.map((weight) => (magnitude * weight) % total);
  let left = magnitude - shares.reduce((sum, share) => sum + share, 0n);
  const byRemainder = remainders
    .map((remainder, index) => ({ remainder, index }))
    .sort((a, b) => compare(b.remainder, a.remainder) || a.index - b.index);
  for (const { index } of byRemainder) {
    if (left === 0n) break;
    shares[index]! += 1n;
    left -= 1n;
  }
  // `|| 0` turns the -0 of a negative split into 0.
  return shares.map((share) => (amount < 0 ? -Number(share) || 0 : Number(share)));
}

/** A sum that refuses to leave the range in which numbers are exact. */
export function addExact(a: number, b: number): number {
  const sum = a + b;
  if (!Number.isSafeInteger(sum)) throw new RangeError('the sum is out of range');
  return sum;
}

/** The remainder of safe integers is exact, so no quotient is ever rounded by the division. */
function divideSmall(numerator: number, denominator: number): number {
  const magnitude = Math.abs(numerator);
  const remainder = magnitude % denominator;
  const quotient = (magnitude - remainder) / denominator;
  const twice = remainder * 2;
  const up = twice > denominator || (twice === denominator && quotient % 2 === 1);
  const rounded = up ? quotient + 1 : quotient;
  return numerator < 0 ? -rounded || 0 : rounded;
}

function weightOf(weight: number): bigint {
  if (!Number.isSafeInteger(weight) || weight < 0)
    throw new RangeError('weights are integers and not negative');
  return BigInt(weight);
}

function exactNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError('the amount is out of range');
  return number;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
