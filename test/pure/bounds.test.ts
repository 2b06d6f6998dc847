// What an ingress remembers is bounded: past it the oldest goes, or is counted with others.
import { expect, test } from 'bun:test';
import { CheckRecorder } from '../../src/cache/coupon-check-recorder.ts';
import { Receipt, RecentEvents } from '../../src/http/recent.ts';
import { decodeEntry } from '../../src/stream/codec.ts';

test('of ids of events the older half goes', () => {
  const recent = new RecentEvents(1_000);
  const receipt = new Receipt('events', 0);
  for (let n = 0; n < 2_000; n++) recent.add(1, `e_${n}`, { fingerprint: 1n, receipt, index: n });
  const held = Array.from({ length: 2_000 }, (_, n) => recent.find(1, `e_${n}`) !== undefined);
  expect(held.filter(Boolean).length).toBeLessThanOrEqual(1_000);
  expect([held[0], held[1_999]]).toEqual([false, true]);
});

test('codes past 10,000 are counted together', async () => {
  const sent: Buffer[] = [];
  const appender = {
    append: async (_topic: unknown, _partition: unknown, tuple: Uint8Array) => {
      sent.push(Buffer.from(tuple));
      return 1;
    },
  };
  const recorder = new CheckRecorder(appender, () => {}, 3_600_000);
  for (let n = 0; n < 12_000; n++) recorder.record(1, `CODE${n}`, 1);
  await recorder.stop();
  const counts = sent.flatMap((tuple) => {
    const [event] = decodeEntry(tuple);
    const { data } = event as unknown as { data: { checks: { code: string; count: number }[] } };
    return data.checks;
  });
  expect(counts.length).toBe(10_001);
  expect(counts.find(({ code }) => code === ':other')!.count).toBe(2_000);
});
