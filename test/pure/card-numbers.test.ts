// What a client names like a card number is not repeated to it, in no pointer of an answer.
import { expect, test } from 'bun:test';
import { Type } from '@sinclair/typebox';
import { jsonOf } from '../../src/http/body.ts';
import { refuseCardNumbers } from '../../src/http/card-numbers.ts';
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
