// Pure parts of the stream machinery: who owns what, how positions move, how long to wait.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { BatchItem } from '../../src/ledger/batch.ts';
import { desiredOwner } from '../../src/stream/assignment.ts';
import { backoffMs } from '../../src/stream/backoff.ts';
import { allStreams } from '../../src/stream/lease.ts';
import { OwnedStream } from '../../src/stream/owned-stream.ts';
import { stepsOf } from '../../src/stream/settle.ts';
import type { StreamStep } from '../../src/store/writer.ts';
import { topics } from '../../schemas/events.ts';
import { formatPosition, parsePosition, partitionOf } from '../../src/stream/topology.ts';

const workers = ['worker-1', 'worker-2', 'worker-3', 'worker-4'];

test('one worker more or less moves only the streams it must', () => {
  fc.assert(
    fc.property(fc.subarray(workers, { minLength: 2 }), (alive) => {
      const gone = alive[0]!;
      const rest = alive.slice(1);
      for (const stream of allStreams) {
        const before = desiredOwner(stream, alive);
        const after = desiredOwner(stream, rest);
        if (before !== gone) expect(after).toBe(before);
      }
    }),
  );
});

test('every worker gets some of the streams, and nobody alive means nobody', () => {
  const owners = new Set(allStreams.map((stream) => desiredOwner(stream, workers.slice(0, 3))));
  expect(owners.size).toBe(3);
  expect(desiredOwner('events.0', [])).toBeNull();
});

test('a partition is the same on every machine: CRC-32 of tenant and key', () => {
  expect(['a', 'b', 'u_1', 'order-77'].map((key) => partitionOf(1, key))).toEqual([1, 3, 5, 5]);
});

test('positions survive their text, and nonsense is no position', () => {
  for (const offset of [0, 1, Number.MAX_SAFE_INTEGER])
    expect(parsePosition(formatPosition('events', 3, offset), topics)).toEqual({
      topic: 'events',
      partition: 3,
      offset,
    });
  for (const text of [
    'events.8.1',
    'other.1.1',
    'events.1',
    'events.1.-1',
    'events.1.99999999999999999',
    '',
  ])
    expect(parsePosition(text, topics)).toBeNull();
});

test('waiting grows, is jittered over its whole range, and is bounded', () => {
  const bounds = { baseMs: 50, maxMs: 5_000 };
  expect(backoffMs(1, bounds, () => 1)).toBe(50);
  expect(backoffMs(3, bounds, () => 1)).toBe(200);
  expect(backoffMs(3, bounds, () => 0)).toBe(0);
  expect(backoffMs(1_000, bounds, () => 1)).toBe(5_000);
});

function at(offset: number, events = 1, attempts = 0): BatchItem {
  return { stream: 'events.0', offset, events, attempts } as BatchItem;
}

const none = { lost: [], renumbered: [] };
const cases: [string, BatchItem[], Partial<StreamStep>][] = [
  ['consecutive offsets', [at(11), at(12), at(13)], { to: 13 }],
  ['an item that stands for several', [at(11, 5), at(16)], { to: 16 }],
  ['a hole before', [at(14)], { to: 14, lost: [{ first: 11, count: 3 }] }],
  ['a hole within', [at(11), at(14)], { to: 14, lost: [{ first: 12, count: 2 }] }],
  [
    'numbers given out anew',
    [at(9), at(10), at(11)],
    {
      to: 11,
      renumbered: [
        { first: 9, count: 1 },
        { first: 10, count: 1 },
      ],
    },
  ],
  [
    'offsets that others of the batch have',
    [at(11), at(12), at(11), at(12), at(13)],
    {
      to: 13,
      renumbered: [
        { first: 11, count: 1 },
        { first: 12, count: 1 },
      ],
    },
  ],
  [
    'an entry that overlaps what is settled',
    [at(9, 4)],
    { to: 12, renumbered: [{ first: 9, count: 2 }] },
  ],
  ['a retry, whose place was settled long ago', [at(3, 1, 2)], { to: 10 }],
];

for (const [what, items, expected] of cases)
  test(`a stream settled to 10 moves with ${what}`, () => {
    const stream = new OwnedStream('events', 0, '7', 10);
    expect(stepsOf(items, new Map([['events.0', stream]]), () => 10)).toEqual([
      { stream: 'events.0', epoch: '7', from: 10, ...none, ...expected } as StreamStep,
    ]);
  });
