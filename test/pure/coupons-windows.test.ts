// Recurring windows: days, midnight, week's end, offsets and daylight saving.
import { expect, test } from 'bun:test';
import type { CouponWindow } from '../../schemas/coupons.ts';
import { compileWindows, inWindows } from '../../src/cache/coupon-windows.ts';

const evening: CouponWindow = { days: [5], from: '17:00', until: '19:30' };
const night: CouponWindow = { days: [7], from: '22:00', until: '02:00' };
const allDay: CouponWindow = { days: [6], from: '00:00', until: '24:00' };
const roundTheClock: CouponWindow = { days: [2], from: '08:00', until: '08:00' };

// 2026-03-06 is a Friday. Paris changes to summer time on 2026-03-29 at 01:00 UTC.
test.each([
  [evening, '+00:00', '2026-03-06T16:59:59Z', false],
  [evening, '+00:00', '2026-03-06T17:00:00Z', true],
  [evening, '+00:00', '2026-03-06T19:29:59Z', true],
  [evening, '+00:00', '2026-03-06T19:30:00Z', false],
  [evening, '+00:00', '2026-03-05T18:00:00Z', false],
  [evening, '+05:30', '2026-03-06T11:30:00Z', true],
  [evening, '+05:30', '2026-03-06T17:00:00Z', false],
  [evening, '-08:00', '2026-03-07T01:00:00Z', true],
  [evening, 'Europe/Paris', '2026-03-27T16:00:00Z', true],
  [evening, 'Europe/Paris', '2026-03-27T15:59:00Z', false],
  [evening, 'Europe/Paris', '2026-04-03T15:00:00Z', true],
  [evening, 'Europe/Paris', '2026-04-03T17:30:00Z', false],
  [evening, 'Asia/Kathmandu', '2026-03-06T11:15:00Z', true],
  [evening, 'Asia/Kathmandu', '2026-03-06T11:14:00Z', false],
  [night, '+00:00', '2026-03-08T22:00:00Z', true],
  [night, '+00:00', '2026-03-09T01:59:59Z', true], // Monday, of Sunday's window
  [night, '+00:00', '2026-03-09T02:00:00Z', false],
  [night, '+00:00', '2026-03-08T01:00:00Z', false],
  [allDay, '+00:00', '2026-03-07T00:00:00Z', true],
  [allDay, '+00:00', '2026-03-07T23:59:59Z', true],
  [allDay, '+00:00', '2026-03-08T00:00:00Z', false],
  [roundTheClock, '+00:00', '2026-03-11T07:59:00Z', true],
  [roundTheClock, '+00:00', '2026-03-11T08:00:00Z', false],
  [roundTheClock, '+00:00', '1965-03-02T09:00:00Z', true], // a Tuesday before the epoch
] as [CouponWindow, string, string, boolean][])('%j in %s at %s: %p', (window, zone, at, open) => {
  expect(inWindows(compileWindows([window], zone), Date.parse(at))).toBe(open);
});

test('the days of several windows add up', () => {
  const windows = compileWindows([evening, allDay]);
  expect(inWindows(windows, Date.parse('2026-03-06T18:00:00Z'))).toBe(true);
  expect(inWindows(windows, Date.parse('2026-03-07T03:00:00Z'))).toBe(true);
  expect(inWindows(windows, Date.parse('2026-03-06T03:00:00Z'))).toBe(false);
});
