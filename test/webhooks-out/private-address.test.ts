// Addresses that webhooks may not go to, in every notation that a resolver or a URL may bring.
import { describe, expect, test } from 'bun:test';
import { addressKind, networksOf } from '../../src/io/private-address.ts';

const refused = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '100.64.0.1', '127.0.0.1', '127.255.255.254'],
  ...['169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.8', '192.0.2.1', '192.88.99.1'],
  ...['192.168.1.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255'],
  ...['240.0.0.1', '255.255.255.255'],
  ...['::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:a9fe:a9fe'],
  ...['64:ff9b::7f00:1', '64:ff9b:1::1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::'],
  ...['fc00::1', 'fd12:3456::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '4000::1'],
  ...['localhost', '', 'not an address', '127.0.0.1:80'],
];
const open = ['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111'];

test.each(refused)('%s is refused', (address) => {
  expect(addressKind(address, [])).toBe('refused');
});

test.each([...open, '::ffff:8.8.8.8'])('%s is public', (address) => {
  expect(addressKind(address, [])).toBe('public');
});

describe('networks that the operator names', () => {
  const named = networksOf('10.1.0.0/16, fd00::/8')!;

  test('are allowed, in both clothes, and nothing beside them', () => {
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00::1'])
      expect([address, addressKind(address, named)]).toEqual([address, 'named']);
    for (const address of ['10.2.0.1', '127.0.0.1', 'fe80::1'])
      expect([address, addressKind(address, named)]).toEqual([address, 'refused']);
  });

  test('are written as networks', () => {
    for (const text of ['10.1.0.0', 'x/8', '10.0.0.0/33', '10.0.0.0/8,', ','])
      expect([text, networksOf(text)]).toEqual([text, null]);
  });
});
