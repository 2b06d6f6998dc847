// Whose bucket an address takes from: a household of IPv6 has 2^64 of them, so its network counts.
// Invariant: two spellings of one address are one bucket, and what is no address is none.
import { isIPv4, isIPv6 } from 'node:net';

const NETWORK_WORDS = 4;

/** An IPv4 address as it is, the /64 of an IPv6 one; null for text that is neither. */
export function networkOf(text: string): string | null {
  const address = withoutPort(text);
  if (isIPv4(address)) return address;
  const bare = address.replace(/%.*$/, '');
  if (!isIPv6(bare)) return null;
  const words = wordsOf(bare);
  const [high, low] = [words[6]!, words[7]!];
  // ::ffff:192.0.2.1, as a socket of both families names an IPv4 peer.
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff)
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  const network = words.slice(0, NETWORK_WORDS).map((word) => word.toString(16));
  return `${network.join(':')}::/64`;
}

/** Some proxies write the port too: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(text: string): string {
  return text.replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1');
}

/** The eight words of an IPv6 address, however it is written. */
function wordsOf(address: string): number[] {
  const hexadecimal = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.map(Number) as [number, number, number, number];
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = hexadecimal.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  return [...before, ...zeros, ...after].map((word) => Number.parseInt(word, 16));
}
