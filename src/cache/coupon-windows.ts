// Recurring windows of a coupon: which minutes of the week it applies in, in its own time zone.
// Invariant: asking costs no allocation; the offset of a named zone is looked up once a quarter of
// an hour, since no zone changes its offset in between.
import type { CouponWindow } from '../../schemas/coupons.ts';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;
const QUARTER_MS = 15 * MINUTE_MS;

/** Pairs of minutes of the week, Monday 00:00 is 0; the second may lie beyond the week's end. */
export interface Windows {
  zone: Zone;
  bounds: Int32Array;
}

export interface Zone {
  /** Minutes east of UTC at a time in ms since the epoch. */
  offsetAt(now: number): number;
}

const zones = new Map<string, Zone>();

export function compileWindows(windows: readonly CouponWindow[], timeZone = '+00:00'): Windows {
  const bounds: number[] = [];
  for (const { days, from, until } of windows) {
    const start = minutesOf(from);
    const end = minutesOf(until);
    for (const day of days) {
      const first = (day - 1) * DAY_MINUTES + start;
      bounds.push(first, first + (end > start ? end - start : end - start + DAY_MINUTES));
    }
  }
  return { zone: zoneOf(timeZone), bounds: Int32Array.from(bounds) };
}

export function inWindows({ zone, bounds }: Windows, now: number): boolean {
  // The epoch was a Thursday, three days after a Monday.
  const minutes = Math.floor(now / MINUTE_MS) + zone.offsetAt(now) + 3 * DAY_MINUTES;
  const minute = ((minutes % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES;
  for (let index = 0; index < bounds.length; index += 2) {
    const start = bounds[index]!;
    const end = bounds[index + 1]!;
    if (minute >= start && minute < end) return true;
    if (minute + WEEK_MINUTES < end) return true;
  }
  return false;
}

export function isTimeZone(name: string): boolean {
  try {
    zoneOf(name);
    return true;
  } catch {
    return false;
  }
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

/** Throws a RangeError for a name that is no time zone. */
function zoneOf(name: string): Zone {
  let zone = zones.get(name);
  if (!zone) {
    zone = /^[+-]/.test(name) ? fixedZone(name) : namedZone(name);
    zones.set(name, zone);
  }
  return zone;
}

function fixedZone(name: string): Zone {
  const offset = minutesOf(name.slice(1)) * (name.startsWith('-') ? -1 : 1);
  return { offsetAt: () => offset };
}

function namedZone(timeZone: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  let quarter = Number.NaN;
  let offset = 0;
  return {
    offsetAt(now) {
      const current = Math.floor(now / QUARTER_MS);
      if (current !== quarter) {
        const parts = format.formatToParts(current * QUARTER_MS);
        offset = parseOffset(parts.find((part) => part.type === 'timeZoneName')!.value);
        quarter = current;
      }
      return offset;
    },
  };
}

/** `GMT`, `GMT+05:30`, `GMT-3`. */
function parseOffset(text: string): number {
  const match = /([+-])(\d{1,2})(?::(\d{2}))?/.exec(text);
  if (!match) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  return match[1] === '-' ? -minutes : minutes;
}
