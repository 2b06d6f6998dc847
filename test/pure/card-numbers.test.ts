// What a client names like a card number is not repeated to it, in no pointer of an answer.
import { expect, test } from 'bun:test';
import { Type } from '@sinclair/typebox';
import { jsonOf } from '../../src/http/body.ts';
import { hasCardNumber, refuseCardNumbers } from '../../src/http/card-numbers.ts';
import { hasIssuedNumber } from '../../src/http/issued-numbers.ts';
import { Problem } from '../../src/http/problem.ts';
import { Shape } from '../../src/http/shape.ts';

const CARD = '4111-1111-1111-1111';

function pointersOf(act: () => unknown): string[] {
  try {
    const said = act();
    return said instanceof Problem ? said.errors!.map(({ pointer }) => pointer) : [];
  } catch (error) {
    if (error instanceof Problem) return error.errors!.map(({ pointer }) => pointer);
    throw error;
  }
}

const shape = new Shape(Type.Object({}, { additionalProperties: false }), '/body');

test('a member that nobody knows, a fraction, a value: none repeats it', () => {
  expect(pointersOf(() => shape.refusal({ [CARD]: 1 }))).toEqual(['/body']);
  expect(pointersOf(() => shape.refusal({ [`the ${CARD}`]: { b: 1 } }))).toEqual(['/body']);
  expect(pointersOf(() => jsonOf(`{"a":{"${CARD}":{"b":1.0}}}`))).toEqual(['/a']);
  expect(pointersOf(() => jsonOf(`{"${'x'.repeat(190)}":{"${CARD}":1.0}}`))).toEqual([
    `/${'x'.repeat(190)}`,
  ]);
  expect(pointersOf(() => refuseCardNumbers({ a: { [CARD]: 1 }, b: CARD }))).toEqual(['/a', '/b']);
});

test('other digits are repeated', () => {
  expect(pointersOf(() => shape.refusal({ '4111111111111112': 1 }))).toEqual([
    '/body/4111111111111112',
  ]);
});

const PAN = '4111111111111111';
const inScript = (zero: number): string =>
  PAN.split('')
    .map((digit) => String.fromCodePoint(zero + Number(digit)))
    .join('');

test.each([
  ...['.', '/', ',', '_', '\t', '  ', ' - ', '\u00a0', '\u200b', '\u2013'].map((between) =>
    ['4111', '1111', '1111', '1111'].join(between),
  ),
  ...[0xff10, 0x660, 0x966, 0x1d7ce].map(inScript),
  ...[
    PAN.split('').join('.'),
    `card${PAN}`,
    `tok_${PAN}`,
    `${PAN}exp1227`,
    `${PAN} 12/27`,
    `1 ${PAN}`,
  ],
  ...['378282246310005', '3056.930902.5904', '5555.5555.5555.4444', '6011/1111/1111/1117'],
])('in disguise it is one all the same: %p', (text) => {
  expect(hasCardNumber(text)).toBe(true);
  expect(pointersOf(() => refuseCardNumbers({ a: { b: text } }))).toEqual(['/a/b']);
});

test('a number is one too, but not of money', () => {
  expect(pointersOf(() => refuseCardNumbers({ metadata: { n: Number(PAN) } }))).toEqual([
    '/metadata/n',
  ]);
  expect(pointersOf(() => refuseCardNumbers({ amount: { amount: Number(PAN) } }))).toEqual([]);
});

test.each([
  ...['2026-11-21 02:01:43.753', '2026-11-21T02:01:43.753Z', '1700000000000', '+4915123456789'],
  ...['2401:4900:1111:3344:5555:5555:5555:4444', '10.20.30.40', '403-1234567-1234567'],
  ...['pay_01a1fbd8-4111-7111-9111-411111111111', 'c_4111111111111112', 'pm_1MqLiJ4111a11b11c11'],
  'd41d8cd4111111111111111e9800998e',
])('ids, times, addresses and phones are none: %p', (text) => {
  expect(hasIssuedNumber(text)).toBe(false);
});

test('UUIDs and hashes pass, all but a few in a million', () => {
  const seeds = Array.from({ length: 20_000 }, (_, n) => Bun.SHA256.hash(String(n), 'hex'));
  const taken = seeds.filter(
    (hex) =>
      hasIssuedNumber(hex) || hasIssuedNumber(hex.slice(0, 32)) || hasIssuedNumber(uuid(hex)),
  );
  expect(taken).toEqual([]);
});

function uuid(hex: string): string {
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `pay_${parts.join('-')}-${hex.slice(20, 32)}`;
}
