// Loaded before a process of the product (`bun --preload`): its wall clock is off by as many
// milliseconds as the variable says. Timers and `performance` go on as they are.
const offMs = Number(process.env['TALLYRACE_TEST_CLOCK_OFF_MS'] ?? 0);
const TrueDate = Date;

class SkewedDate extends TrueDate {
  constructor(...given: [] | [number | string | Date]) {
    super(given.length === 0 ? TrueDate.now() + offMs : given[0]);
  }

  static override now(): number {
    return TrueDate.now() + offMs;
  }
}

if (offMs !== 0) globalThis.Date = SkewedDate as DateConstructor;
