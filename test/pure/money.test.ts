// Exact arithmetic, against a model in rational numbers that shares no code with it.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { addExact, applyRates, divideHalfEven, splitByWeights } from '../../src/ledger/money.ts';

const amounts = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const rates = fc.integer({ min: 0, max: 10_000 });

/** Distance between numerator/denominator and the integer, in parts of 1/denominator. */
function distance(numerator: bigint, denominator: bigint, integer: bigint): bigint {
  const difference = numerator - integer * denominator;
  return difference < 0n ? -difference : difference;
}

function expectHalfEven(numerator: bigint, denominator: bigint, integer: bigint): void {
  const twice = distance(numerator, denominator, integer) * 2n;
  expect(twice <= denominator).toBe(true);
  if (twice === denominator) expect(integer % 2n === 0n).toBe(true);
}

describe('rates', () => {
  test.each([
    [100_000, [1000], 10_000],
    [5, [1000], 0], // 0.5 rounds to the even 0
    [15, [1000], 2], // 1.5 rounds to the even 2
    [25, [1000], 2], // 2.5 rounds to the even 2
    [26, [1000], 3],
    [-5, [1000], 0],
    [-15, [1000], -2],
    [645, [5000], 322],
    [100_000, [5000, 1000], 5000], // half shown, a tenth of it earned
    [7, [5000, 5000], 2], // 1.75, rounded once; rounding each step would give 2 from 4
    [3, [5000, 5000], 1], // 0.75; rounding each step: 1.5 -> 2 -> 1
    [Number.MAX_SAFE_INTEGER, [10_000], Number.MAX_SAFE_INTEGER],
  ])('%d at %p is %d', (amount, ratesBp, expected) => {
    expect(applyRates(amount, ...ratesBp)).toBe(expected);
  });

  test('one rate is the nearest integer, ties to even', () => {
    fc.assert(
      fc.property(amounts, rates, (amount, rate) => {
        const result = BigInt(applyRates(amount, rate));
        expectHalfEven(BigInt(amount) * BigInt(rate), 10_000n, result);
      }),
      { numRuns: 2000 },
    );
  });

  test('two rates are one rounding', () => {
    fc.assert(
      fc.property(amounts, rates, rates, (amount, first, second) => {
        const result = BigInt(applyRates(amount, first, second));
        const product = BigInt(amount) * BigInt(first) * BigInt(second);
        expectHalfEven(product, 100_000_000n, result);
      }),
      { numRuns: 2000 },
    );
  });

  test('a denominator that is not positive is refused', () => {
    expect(() => divideHalfEven(1n, 0n)).toThrow(RangeError);
  });
});

describe('splits', () => {
  test.each([
    [100, [1, 1, 1], [34, 33, 33]],
    [645, [1, 1], [323, 322]],
    [-100, [1, 1, 1], [-34, -33, -33]],
    [10, [0, 1], [0, 10]],
    [0, [3, 4], [0, 0]],
    [1000, [30, 25, 25, 20], [300, 250, 250, 200]],
    [1, [1, 2, 2], [0, 1, 0]],
  ])('%d by %p is %p', (amount, weights, expected) => {
    expect(splitByWeights(amount, weights)).toEqual(expected);
  });

  test('sums to its whole, each share within one of its exact part, order kept', () => {
    const weights = fc
      .array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 20 })
      .filter((list) => list.some((weight) => weight > 0));
    fc.assert(
      fc.property(amounts, weights, (amount, list) => {
        const shares = splitByWeights(amount, list);
        expect(shares.reduce((sum, share) => sum + BigInt(share), 0n)).toBe(BigInt(amount));
        const total = list.reduce((sum, weight) => sum + BigInt(weight), 0n);
        shares.forEach((share, index) => {
          const exact = BigInt(amount) * BigInt(list[index]!);
          expect(distance(exact, total, BigInt(share)) < total).toBe(true);
        });
      }),
    );
  });

  test('weights that are nothing, negative or not integers are refused', () => {
    for (const weights of [[], [0, 0], [-1, 2], [0.5, 1]])
      expect(() => splitByWeights(10, weights)).toThrow(RangeError);
  });
});

test('sums out of the exact range are refused', () => {
  expect(addExact(2, 3)).toBe(5);
  expect(() => addExact(Number.MAX_SAFE_INTEGER, 1)).toThrow(RangeError);
});
