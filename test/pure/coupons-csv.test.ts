// Coupons as CSV rows, and codes from patterns.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { CouponTerms } from '../../schemas/coupons.ts';
import { ALPHABET, CodeGenerator, patternError } from '../../src/cli/coupon-codes.ts';
import { parseRow, rowOf } from '../../src/cli/coupons-csv.ts';

const usd = (amount: number) => ({ amount, currency: 'USD' });
const everything: CouponTerms = {
  kind: 'percent',
  percent_bp: 1_500,
  max_discount: usd(2_000),
  min_order: usd(1_000),
  starts_at: '2026-01-01T00:00:00Z',
  ends_at: '2026-12-31T23:59:59Z',
  windows: [{ days: [5, 6], from: '17:00', until: '02:00' }],
  time_zone: 'Europe/Paris',
  limits: { global: 100, per_customer: 2, budget: usd(50_000) },
  products: ['p_1', 'p_2'],
  segments: ['vip'],
  stackable: false,
  status: 'active',
  metadata: { campaign: 'spring, "first"', wave: 2, live: true },
};

test.each([
  ['everything', everything],
  ['little', { kind: 'free_shipping' }],
  ['a gift', { kind: 'gift_balance', value: usd(5_000) }],
] as [string, CouponTerms][])('%s comes back as it was', (_name, terms) => {
  expect(parseRow(rowOf('SPRING', terms))).toEqual({ code: 'SPRING', terms });
});

test('no cell is a formula to a spreadsheet, and each comes back as it was', () => {
  const names = fc.array(fc.stringMatching(/^['=+\-@]{0,3}[!-~]{1,6}$/), { maxLength: 3 });
  const code = fc.stringMatching(/^['=+\-@]{0,3}[!-9;-~]{1,6}$/);
  fc.assert(
    fc.property(code, names, names, (given, products, segments) => {
      const zone = { time_zone: '+05:30', windows: everything.windows! };
      const lists = {
        ...(products.length > 0 && { products: [...new Set(products)] }),
        ...(segments.length > 0 && { segments: [...new Set(segments)] }),
      };
      const terms: CouponTerms = { kind: 'fixed', value: usd(1), ...zone, ...lists };
      const row = rowOf(given, terms);
      for (const cell of Object.values(row)) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
      expect(parseRow(row)).toEqual({ code: given, terms });
    }),
  );
});

test.each([
  [{ code: '', kind: 'fixed' }, ['code: not a code']],
  [{ code: 'A', kind: 'gift' }, ['kind: ']],
  [{ code: 'A', kind: 'percent', percent_bp: '10%' }, ['percent_bp: ']],
  [{ code: 'A', kind: 'fixed', value: '1.5', currency: 'USD' }, ['value: ']],
  [{ code: 'A', kind: 'fixed', value: '5' }, ['value: ']],
  [{ code: 'A', kind: 'fixed' }, ['value: a fixed coupon needs a value']],
  [{ code: 'A', kind: 'free_shipping', stackable: 'yes' }, ['stackable: ']],
  [{ code: 'A', kind: 'free_shipping', limit_global: '0' }, ['limit_global: ']],
  [{ code: 'A', kind: 'free_shipping', metadata: '{' }, ['windows or metadata: not JSON']],
])('%j is refused, by its column', (row, starts) => {
  const parsed = parseRow(row);
  const errors = 'errors' in parsed ? parsed.errors : [];
  expect(errors).toHaveLength(starts.length);
  errors.forEach((error, index) => expect(error).toStartWith(starts[index]!));
});

describe('codes from a pattern', () => {
  test('keep its fixed parts, and never come twice', () => {
    const codes = new CodeGenerator('SUMMER-####').take(50_000);
    expect(new Set(codes).size).toBe(50_000);
    const shape = new RegExp(`^SUMMER-[${ALPHABET}]{4}$`);
    for (const code of codes) expect(code).toMatch(shape);
  });

  test('use every character about equally often', () => {
    const text = new CodeGenerator('########').take(20_000).join('');
    const counts = Map.groupBy(text, (character) => character);
    expect(counts.size).toBe(32);
    for (const found of counts.values()) {
      expect(found.length).toBeGreaterThan(4_500);
      expect(found.length).toBeLessThan(5_500);
    }
  });

  test('are refused where there is no room to hide them, or they are no codes', () => {
    expect(patternError('X-##', 103)).toContain('at least 3');
    expect(patternError('X-##', 102)).toBeNull();
    expect(patternError('SUMMER-####', 1_000_000)).toContain('at least 5');
    expect(patternError('A:####', 1)).toContain('not a code');
  });
});
