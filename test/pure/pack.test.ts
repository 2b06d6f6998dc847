// The writer of event bytes against msgpackr, whose bytes are in every ledger.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { PackWriter, packr } from '../../src/stream/pack.ts';

const whole = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, -32, -33, -129),
);
const text = fc.oneof(
  fc.string({ maxLength: 300 }),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom('', 'x'.repeat(31), 'x'.repeat(32), 'x'.repeat(128), 'x'.repeat(129), 'é', '😀'),
);
const value = fc.oneof(whole, fc.double(), text, fc.boolean(), fc.constant(null));

test('values have the bytes that msgpackr gives them, wherever they stand', () => {
  const writer = new PackWriter();
  fc.assert(
    fc.property(fc.array(value, { maxLength: 40 }), (values) => {
      const start = writer.length;
      writer.array(values.length);
      for (const each of values) writer.value(each);
      expect(writer.from(start).equals(packr.pack(values))).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test('arrays of every length, and what is nested, have them too', () => {
  const nested = [
    ['a', [1, { b: 'c' }]],
    ['d', -1_000_000],
  ];
  for (const values of [nested, Array<number>(15).fill(1), Array<null>(16).fill(null)]) {
    const writer = new PackWriter();
    writer.array(values.length);
    for (const each of values) writer.value(each);
    expect(writer.from(0)).toEqual(packr.pack(values));
  }
  const writer = new PackWriter();
  writer.array(70_000);
  expect(writer.from(0)).toEqual(packr.pack(Array<null>(70_000).fill(null)).subarray(0, 5));
});

test('what is taken back leaves nothing behind, however much the buffer grew for it', () => {
  const writer = new PackWriter();
  writer.value('kept');
  const kept = writer.length;
  writer.value('x'.repeat(1_000_000));
  writer.rewind(kept);
  writer.value('next');
  expect(writer.from(0).equals(Buffer.concat([packr.pack('kept'), packr.pack('next')]))).toBe(true);
});
