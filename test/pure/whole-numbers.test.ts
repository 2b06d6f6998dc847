// A whole number that is written with a fraction is refused, and the answer says where it is.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { jsonOf } from '../../src/http/body.ts';
import { Problem } from '../../src/http/problem.ts';

function said(text: string): unknown {
  const found = jsonOf(text);
  if (!(found instanceof Problem)) return found.json;
  const { status, code, errors = [] } = found;
  return [status, code, ...errors.map(({ pointer }) => pointer)];
}

describe('refused, with its place', () => {
  test.each([
    ['{"data":{"amount":{"amount":12.0}}}', '/data/amount/amount'],
    ['[1,{"a":[0.5,10e-1]}]', '/1/a/1'],
    ['{"a":"12.0","a/b~c":-1.50e1}', '/a~1b~0c'],
    ['{"amount":1.0000000000000001}', '/amount'],
    ['3.0', ''],
    ['{"a":1.0,"a":1}', '/a'],
    ['{"a":[{"}":"]"},[],{},"\\\\",-2.0]}', '/a/4'],
    ['{"":{"x":[[]],"\\u0041\\"":{"b":[true,null,{"c":7.0}]}}}', '//A"/b/2/c'],
  ])('%s', (text, pointer) => {
    expect(said(text)).toEqual([422, 'invalid_request', pointer]);
  });

  test('however deep it is, in a pointer that is bounded', () => {
    const text = `${'{"a":'.repeat(50_000)}1.0${'}'.repeat(50_000)}`;
    expect(said(text)).toEqual([422, 'invalid_request', '/a'.repeat(100)]);
  });
});

test('what JSON.stringify writes is read as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      // From 1e21 on it writes whole numbers with a fraction too; they are refused.
      fc.pre(!/\de\+/.test(text));
      expect(said(text)).toEqual(JSON.parse(text));
    }),
  );
});

test('the place is the way to it, whatever is beside it', () => {
  const step = fc.oneof(fc.string({ maxLength: 6, unit: 'binary' }), fc.nat(4));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.string(), (steps, beside) => {
      const json = steps.reduceRight<unknown>(
        (inner, each) =>
          typeof each === 'number'
            ? [...Array<unknown>(each).fill({ a: [beside] }), inner, beside]
            : { before: [beside, {}], [each]: inner, after: 1 },
        'MARK',
      );
      fc.pre(!beside.includes('MARK') && !steps.includes('MARK'));
      const text = JSON.stringify(json).replace('"MARK"', '-12.00');
      fc.pre(!text.includes('\ufffd'));
      const escaped = steps.map((each) => String(each).replaceAll('~', '~0').replaceAll('/', '~1'));
      const pointer = escaped.map((each) => `/${each}`).join('');
      expect(said(text)).toEqual([422, 'invalid_request', pointer]);
    }),
  );
});
