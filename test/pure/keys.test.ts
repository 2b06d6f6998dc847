// API keys: their form, their checksum, their randomness.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { KEY_FORM } from '../../src/config.ts';
import { hasValidChecksum, newKey } from '../../src/store/keys.ts';

describe('a new key', () => {
  test.each(['live', 'test', 'pub'] as const)('of kind %s has the form of one', (kind) => {
    const key = newKey(kind);
    expect(key).toMatch(KEY_FORM);
    expect(key).toMatch(new RegExp(`^tr_${kind}_[A-Za-z0-9]{38}$`));
    expect(hasValidChecksum(key)).toBe(true);
  });

  test('is never made twice', () => {
    expect(new Set(Array.from({ length: 1_000 }, () => newKey('test'))).size).toBe(1_000);
  });

  test('with one letter changed is known to be wrong', () => {
    const key = newKey('live');
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: key.length - 1 }),
        fc.constantFrom('a', 'B', '7'),
        (at, letter) => {
          fc.pre(key[at] !== letter);
          return !hasValidChecksum(key.slice(0, at) + letter + key.slice(at + 1));
        },
      ),
    );
  });
});
