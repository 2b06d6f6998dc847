// Which bucket an address takes from: IPv4 by itself, IPv6 by its /64, one bucket however written.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { Strangers, UNKNOWN_KEYS_PER_MINUTE } from '../../src/cache/strangers.ts';
import { networkOf } from '../../src/http/address.ts';

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['192.0.2.1:4711', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:0201', '192.0.2.1'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['[2001:db8:1:2::9]:443', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
])('%s counts as %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test.each(['', 'unknown', '256.1.1.1', '1.2.3', ':::', '2001:db8', '192.0.2.1, 192.0.2.2', 'a:b'])(
  '%p is no address',
  (text) => {
    expect(networkOf(text)).toBeNull();
  },
);

test('the lower half of an IPv6 address does not matter, the upper half does', () => {
  const word = fc.nat({ max: 0xffff });
  const words = fc.array(word, { minLength: 8, maxLength: 8 });
  const written = (of: readonly number[]): string => of.map((each) => each.toString(16)).join(':');
  fc.assert(
    fc.property(words, words, (one, other) => {
      fc.pre(one.slice(0, 5).some((each) => each !== 0));
      const sibling = [...one.slice(0, 4), ...other.slice(4)];
      fc.pre(sibling.slice(0, 5).some((each) => each !== 0));
      expect(networkOf(written(sibling))).toBe(networkOf(written(one)));
      const changed = one.with(3, (one[3]! + 1) & 0xffff);
      expect(networkOf(written(changed))).not.toBe(networkOf(written(one)));
    }),
  );
});

test('an address may have so many unknown keys looked up, then one for each interval', () => {
  let now = 1_000_000;
  const strangers = new Strangers(() => now);
  for (let n = 0; n < UNKNOWN_KEYS_PER_MINUTE; n++) {
    expect(strangers.waitMs('a')).toBe(0);
    strangers.take('a');
  }
  expect(strangers.waitMs('a')).toBeGreaterThan(0);
  expect(strangers.waitMs('b')).toBe(0);
  strangers.giveBack('a');
  expect(strangers.waitMs('a')).toBe(0);
  strangers.take('a');
  now += strangers.waitMs('a');
  expect(strangers.waitMs('a')).toBe(0);
});

test('a flood from many addresses is forgotten, oldest first', () => {
  const strangers = new Strangers(() => 1_000_000);
  for (let n = 0; n < UNKNOWN_KEYS_PER_MINUTE; n++) strangers.take('first');
  for (let n = 0; n < 9_999; n++) strangers.take(`10.0.${n >> 8}.${n & 255}`);
  expect(strangers.waitMs('first')).toBeGreaterThan(0);
  strangers.take('one too many');
  expect(strangers.waitMs('first')).toBe(0);
});
