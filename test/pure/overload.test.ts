// What protects the ingress, without an ingress: the valve under a model of callers who send again
// as soon as they are answered, and the place where refusals wait.
import { describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { Holding } from '../../src/http/holding.ts';
import { Valve } from '../../src/http/valve.ts';
import { type Crowd, simulate } from './crowd.ts';

const WAIT_MS_MAX = 100;

function run(crowd: Partial<Crowd> & Pick<Crowd, 'callersAt'>) {
  const usual = { answerMs: 0.03, refuseMs: 0.015, holdMs: 500, seconds: 14 };
  return simulate({ ...usual, ...crowd }, new Valve(WAIT_MS_MAX));
}

describe('the valve', () => {
  test('refuses nobody while waits are shorter than the limit', () => {
    const seconds = run({ callersAt: () => 3_000 });
    expect(seconds.map(({ refused }) => refused)).toEqual(seconds.map(() => 0));
  });

  test('lets a burst pass that is worked off at once', () => {
    const seconds = run({ callersAt: (nowMs) => (nowMs > 5_000 && nowMs < 5_150 ? 6_000 : 50) });
    expect(Math.max(...seconds.map(({ waitMs }) => waitMs))).toBeGreaterThan(WAIT_MS_MAX);
    expect(seconds.reduce((sum, { refused }) => sum + refused, 0)).toBe(0);
  });

  test('keeps waits of any crowd near the limit, and most of the time for answers', () => {
    const crowd = fc.record({
      /** What the crowd would wait if all came in, in limits. */
      excess: fc.double({ min: 1.5, max: 8, noNaN: true }),
      answerMs: fc.double({ min: 0.03, max: 0.2, noNaN: true }),
      refuseMs: fc.double({ min: 0.008, max: 0.016, noNaN: true }),
    });
    fc.assert(
      fc.property(crowd, ({ excess, answerMs, refuseMs }) => {
        const callers = Math.min(15_000, Math.round((excess * WAIT_MS_MAX) / answerMs));
        const seconds = run({ callersAt: () => callers, answerMs, refuseMs, seconds: 12 });
        for (const { waitMs, good } of seconds.slice(-3)) {
          expect(waitMs).toBeLessThan(1.4 * WAIT_MS_MAX);
          expect((good * answerMs) / 1_000).toBeGreaterThan(0.5);
        }
      }),
      { numRuns: 20 },
    );
  }, 60_000);

  test('once the crowd has gone, all come in again within two seconds', () => {
    const seconds = run({ callersAt: (nowMs) => (nowMs < 8_000 ? 12_000 : 20) });
    expect(seconds[7]!.refused).toBeGreaterThan(1_000);
    expect(seconds.slice(10).map(({ refused }) => refused)).toEqual([0, 0, 0, 0]);
  });

  test('refusals that are not held would crowd the answers out', () => {
    const crowd = { callersAt: () => 8_000 };
    const held = run(crowd).at(-1)!;
    const atOnce = run({ ...crowd, holdMs: 0 }).at(-1)!;
    expect(atOnce.good).toBeLessThan(held.good / 4);
  });

  test('lets in evenly', () => {
    const valve = new Valve(WAIT_MS_MAX);
    valve.refusedShare = 0.75;
    const admitted = Array.from({ length: 12 }, () => valve.admits());
    expect(admitted.filter(Boolean)).toHaveLength(3);
    expect(admitted.findLastIndex(Boolean) - admitted.indexOf(true)).toBe(8);
  });
});

describe('refusals that are held', () => {
  test('are answered between half and one and a half of the time, and not as a crowd', () => {
    const holding = new Holding(1_000);
    // Ahead of the clock by which the holding answers on its own.
    const startMs = performance.now() + 3_600_000;
    for (let count = 0; count < 100; count++) void holding.enter(startMs);
    const heldAfter = [480, 750, 1_000, 1_250, 1_500].map((ms) => {
      holding.answer(startMs + ms);
      return holding.held;
    });
    expect(heldAfter[0]).toBe(100);
    expect(heldAfter[1]).toBeWithin(70, 80);
    expect(heldAfter[2]).toBeWithin(45, 55);
    expect(heldAfter[3]).toBeWithin(20, 30);
    expect(heldAfter[4]).toBe(0);
  });

  test('are answered by themselves, none before its time', async () => {
    const holding = new Holding(100);
    const startMs = performance.now();
    await holding.enter();
    expect(performance.now() - startMs).toBeGreaterThan(25);
    expect(holding.held).toBe(0);
  });

  test('are answered at once when the process is about to stop', async () => {
    const holding = new Holding(3_600_000);
    const waiting = [holding.enter(), holding.enter()];
    expect(holding.held).toBe(2);
    holding.release();
    await Promise.all(waiting);
    expect(holding.held).toBe(0);
  });

  test('are bounded in number, and none are held with a time of zero', () => {
    const holding = new Holding(3_600_000);
    let held = 0;
    while (holding.enter()) held++;
    expect(held).toBe(holding.held);
    expect(held).toBeLessThan(100_000);
    holding.release();
    expect(new Holding(0).enter()).toBeNull();
  });
});
