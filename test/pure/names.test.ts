// Names in Redis: whatever tenants call their things, two different things have two names, and no
// tenant can make the name of another's. Everything a name begins with is ours.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { CouponCode } from '../../schemas/coupons.ts';
import { ClientId } from '../../schemas/primitives.ts';
import {
  changesKey,
  codeKeys,
  couponKey,
  customersKey,
  orderKey,
  redemptionKey,
} from '../../src/cache/redemption-keys.ts';
import { onceOf } from '../../src/http/idempotency.ts';
import { eventKey, accountKey } from '../../src/ledger/identity.ts';
import { PARTITIONS, offsetKey, settledKey, streamKey } from '../../src/stream/topology.ts';

const pieces = [
  ':',
  '{',
  '}',
  '*',
  '{p00}',
  ':customers',
  ':order:',
  '1',
  '\\',
  '"',
  'SPRING',
  '~',
];
const id = fc
  .array(fc.oneof(fc.constantFrom(...pieces), fc.stringMatching(/^[\x21-\x7e]$/)), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => parts.join(''));
const code = id.map((text) => text.replaceAll(':', '')).filter((text) => text !== '');
const tenant = fc.integer({ min: 1, max: 30 });

const kinds = {
  coupon: fc.tuple(tenant, code).map(([of, c]) => [couponKey(of, c), [of, c]] as const),
  customers: fc.tuple(tenant, code).map(([of, c]) => [customersKey(of, c), [of, c]] as const),
  order: fc
    .tuple(tenant, code, id)
    .map(([of, c, order]) => [orderKey(of, c, order), [of, c, order]] as const),
  once: fc
    .tuple(tenant, fc.constantFrom('createRedemption', 'pay'), id)
    .map(([of, route, key]) => [onceOf(of, route, key, '').slot, [of, route, key]] as const),
};

const named = fc.oneof(
  ...Object.entries(kinds).map(([kind, made]) =>
    made.map(([name, what]) => ({ name, what: JSON.stringify([kind, what]), tenant: what[0] })),
  ),
);

test('two things have one name only when they are one thing', () => {
  fc.assert(
    fc.property(fc.array(named, { minLength: 2, maxLength: 40 }), (all) => {
      const seen = new Map<string, string>();
      for (const { name, what } of all) {
        expect(seen.get(name) ?? what).toBe(what);
        seen.set(name, what);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a name of a tenant is none of the engine, and lies in the partition that it should', () => {
  const engine = new Set<string>();
  for (let partition = 0; partition < PARTITIONS; partition++)
    for (const name of [streamKey, offsetKey, settledKey])
      for (const topic of ['events', 'coupons'] as const)
        engine.add(name(topic, partition)).add(changesKey(partition));
  fc.assert(
    fc.property(tenant, code, id, (of, c, order) => {
      const { coupon, customers, order: held } = codeKeys(of, c, order);
      expect([couponKey(of, c), customersKey(of, c), orderKey(of, c, order)]).toEqual([
        coupon,
        customers,
        held,
      ]);
      for (const name of [coupon, customers, held]) {
        expect(engine.has(name)).toBe(false);
        // Redis hashes what stands in the first braces: those are ours, and the tenant follows.
        expect(name).toMatch(new RegExp(`^\\{p0[0-7]\\}:coupon:${of}:`));
      }
    }),
    { numRuns: 1_000 },
  );
});

test('a redemption of another form has no name of a code', () => {
  const made = redemptionKey('rdm_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05');
  expect(made).toMatch(/^\{p05\}:redemption:rdm_/);
});

test('an id and an account are themselves under their own tenant only', () => {
  fc.assert(
    fc.property(tenant, tenant, id, id, (one, other, a, b) => {
      fc.pre(one !== other || a !== b);
      expect(eventKey(one, a)).not.toBe(eventKey(other, b));
      expect(accountKey(one, a, 'USD')).not.toBe(accountKey(other, b, 'USD'));
    }),
  );
});

test('what names are made of has no space, no NUL and no line', () => {
  for (const { pattern } of [CouponCode, ClientId])
    for (const odd of [' ', '\n', '\r', '\u0000', '\u007f', '\u00e9', 'a\nb'])
      expect([odd, new RegExp(pattern!).test(odd)]).toEqual([odd, false]);
  expect(new RegExp(CouponCode.pattern!).test('a:b')).toBe(false);
});
