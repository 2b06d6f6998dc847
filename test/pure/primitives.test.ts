// The words of the schemas, against independent definitions of the same.
import { Value } from '@sinclair/typebox/value';
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { Time } from '../../schemas/primitives.ts';

/** By the calendar of the runtime: a day that exists comes back as it was written. */
function exists(day: string): boolean {
  const date = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

test('a time is one that the calendar has', () => {
  const two = (n: number): string => String(n).padStart(2, '0');
  const days = fc
    .tuple(fc.integer({ min: 1583, max: 9999 }), fc.nat(13), fc.nat(32))
    .map(([year, month, day]) => `${year}-${two(month)}-${two(day)}`);
  fc.assert(
    fc.property(days, (day) => {
      expect(Value.Check(Time, `${day}T12:00:00Z`)).toBe(exists(day));
    }),
    { numRuns: 3_000 },
  );
});

const leapDays: [day: string, exists: boolean][] = [
  ['2024-02-29', true],
  ['2000-02-29', true],
  ['1900-02-29', false],
  ['2100-02-29', false],
  ['2026-02-29', false],
  ['2026-02-30', false],
  ['2026-04-31', false],
  // Postgres has no year 0.
  ['0000-01-01', false],
  ['0000-02-29', false],
  ['0001-01-01', true],
  ['0010-12-31', true],
  ['0400-02-29', true],
];

for (const [day, is] of leapDays)
  test(`${day} ${is ? 'is' : 'is not'} a day`, () => {
    expect(Value.Check(Time, `${day}T00:00:00.5Z`)).toBe(is);
  });

test('other zones, missing seconds and stray characters are refused', () => {
  for (const time of ['2026-01-01T00:00:00+00:00', '2026-01-01T00:00Z', ' 2026-01-01T00:00:00Z'])
    expect(Value.Check(Time, time)).toBe(false);
});
